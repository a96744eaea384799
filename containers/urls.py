"""Table of contents: containers, nodes, activity."""

from django.urls import path

from containers.views import (
    act,
    activity,
    detail,
    differences,
    file_changes,
    file_edit,
    files,
    listing,
    node_adding,
    nodes,
    usage,
)

app_name = "containers"
urlpatterns = [
    path("containers/", listing.containers, name="list"),
    path("containers/act/", act.act_on_many, name="act_many"),
    path("containers/<int:pk>/", detail.container, name="detail"),
    path("containers/<int:pk>/act/", act.act, name="act"),
    path("containers/<int:pk>/activity/", detail.history, name="history"),
    path("containers/<int:pk>/usage/", usage.container, name="usage"),
    path("containers/<int:pk>/files/", files.browse, name="files"),
    path("containers/<int:pk>/files/download/", files.download, name="file_download"),
    path("containers/<int:pk>/files/edit/", file_edit.edit, name="file_edit"),
    path("containers/<int:pk>/files/new/", file_edit.new, name="file_new"),
    path("containers/<int:pk>/files/upload/", file_changes.upload, name="file_upload"),
    path("containers/<int:pk>/files/new-folder/", file_changes.new_folder, name="folder_new"),
    path("containers/<int:pk>/files/rename/", file_changes.rename, name="file_rename"),
    path("containers/<int:pk>/files/delete/", file_changes.delete, name="file_delete"),
    path("nodes/", nodes.nodes, name="nodes"),
    path("nodes/add/", node_adding.reach, name="node_add"),
    path("nodes/add/choose/", node_adding.choose, name="node_choose"),
    path("nodes/<int:pk>/", nodes.node, name="node"),
    path("nodes/<int:pk>/usage/", usage.node, name="node_usage"),
    path("nodes/<int:pk>/service/", nodes.service, name="node_service"),
    path("nodes/<int:pk>/move/", nodes.move, name="node_move"),
    path("nodes/<int:pk>/faults/", nodes.faults, name="node_faults"),
    path("nodes/<int:pk>/differences/<int:number>/<slug:name>/", differences.settle, name="settle"),
    path("activity/", activity.activity, name="activity"),
]
