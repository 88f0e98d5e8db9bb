"""Every address of arbe. Streams and websockets are routed before Django, in `arbe.serving`."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

import artifacts.api
import artifacts.pages
import houses.api
import houses.pages
import sandboxes.api
import sandboxes.pages
import streams.api
import streams.pages
import threads.api
import threads.pages
from arbe import health
from houses.answers import no_such_address

urlpatterns = [
    path("", include(streams.pages.urlpatterns)),
    path("", include(houses.pages.urlpatterns)),
    path("", include(threads.pages.urlpatterns)),
    path("", include(artifacts.pages.urlpatterns)),
    path("", include(sandboxes.pages.urlpatterns)),
    path("api/", include(houses.api.urlpatterns)),
    path("api/", include(streams.api.urlpatterns)),
    path("api/", include(threads.api.urlpatterns)),
    path("api/", include(artifacts.api.urlpatterns)),
    path("api/", include(sandboxes.api.urlpatterns)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    path("api/", no_such_address),
    re_path(r"^api/(?P<rest>(?s:.+))$", no_such_address),
    path("admin/", admin.site.urls),
    path("healthz", health.answer),
]

handler400 = "houses.answers.bad_request"
handler429 = "houses.answers.too_many"
handler500 = "houses.answers.our_fault"
