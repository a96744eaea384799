"""Table of contents: containers, nodes, activity."""

from django.urls import path

from containers.views import act, activity, detail, files, listing, nodes

app_name = "containers"
urlpatterns = [
    path("containers/", listing.containers, name="list"),
    path("containers/act/", act.act_on_many, name="act_many"),
    path("containers/<int:pk>/", detail.container, name="detail"),
    path("containers/<int:pk>/act/", act.act, name="act"),
    path("containers/<int:pk>/activity/", detail.history, name="history"),
    path("containers/<int:pk>/files/", files.browse, name="files"),
    path("containers/<int:pk>/files/download/", files.download, name="file_download"),
    path("nodes/", nodes.nodes, name="nodes"),
    path("nodes/<int:pk>/", nodes.node, name="node"),
    path("activity/", activity.activity, name="activity"),
]
