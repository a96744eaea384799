"""The forms: filters of the list of containers, files in repair, adopting an instance, reaching a
server, and the faults of a simulated node."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat

from containers.models.container import host_name
from containers.repair import paths
from containers.repair.text import unified
from containers.search import LARGEST_ID
from panel.forms import PersonField

_AS_TYPED = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


def _check_name(name: str) -> None:
    if wrong := paths.why_not_a_name(name):
        raise ValidationError(wrong)


class FilterForm(forms.Form):
    """The filters in the address of the list. One that makes no sense (`customer=flying`) is left
    out: whoever followed a link cannot correct it."""

    q = forms.CharField(required=False)
    node = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    plan = forms.CharField(required=False)
    customer = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)

    def filters(self) -> dict[str, Any]:
        """The valid ones, by name."""
        self.full_clean()
        return self.cleaned_data


class NameForm(forms.Form):
    """The name of a new folder."""

    name = forms.CharField(validators=[_check_name], widget=forms.TextInput(_AS_TYPED))


class RenameForm(forms.Form):
    """Another name for a file, or the whole path of another place for it."""

    to = forms.CharField(
        label="New name",
        help_text="Or a whole path, like /etc/nginx/old.conf, to move it there.",
        widget=forms.TextInput(_AS_TYPED | {"class": "wide"}),
    )

    def clean_to(self) -> str:
        to: str = self.cleaned_data["to"]
        if to.startswith("/"):
            for name in paths.clean(to)[1:].split("/"):
                _check_name(name)
        else:
            _check_name(to)
        return to


class TextForm(forms.Form):
    """The text of a file, and which version of it was opened."""

    content = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(_AS_TYPED | {"aria-label": "Content of the file", "wrap": "off"}),
    )
    version = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_content(self) -> str:
        content: str = self.cleaned_data["content"]
        if len(unified(content).encode()) > settings.EDIT_LIMIT:
            raise ValidationError(
                f"The editor takes {filesizeformat(settings.EDIT_LIMIT)} at most. "
                "Upload a larger file instead."
            )
        return content


class NewTextForm(TextForm):
    """A new file: its name and its text. The name stands above the editor, outside its form."""

    name = forms.CharField(
        validators=[_check_name], widget=forms.TextInput(_AS_TYPED | {"form": "editor"})
    )


class UploadForm(forms.Form):
    """A file from the person's own machine."""

    file = forms.FileField(allow_empty_file=True)
    name = forms.CharField(
        label="Save as",
        required=False,
        validators=[_check_name],
        help_text="Left empty, it keeps its name.",
        widget=forms.TextInput(_AS_TYPED),
    )
    replace = forms.BooleanField(label="Replace a file of the same name", required=False)

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if file.size is None or file.size > settings.UPLOAD_LIMIT:
            raise ValidationError(too_large())
        return file


def too_large() -> str:
    """What is said of a file above the limit."""
    return f"The file is too large: {filesizeformat(settings.UPLOAD_LIMIT)} at most."


class AdoptForm(forms.Form):
    """Whose an instance will be, and what it will be called."""

    customer = PersonField()
    name = forms.CharField(
        max_length=63,
        validators=[host_name],
        help_text="What it is called here. The host name inside it stays as it is.",
        widget=forms.TextInput(_AS_TYPED),
    )

    def clean(self) -> None:
        customer, name = self.cleaned_data.get("customer"), self.cleaned_data.get("name")
        if customer and name and customer.containers.living().filter(name=name).exists():
            self.add_error("name", f"{customer} already has a container of this name.")


class ReachForm(forms.Form):
    """A join token, or the path of a local socket."""

    where = forms.CharField(
        label="Join token",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"}),
        help_text="What “incus config trust add” or deploy/incus-node prints; "
        "or the path of a local socket, such as /var/lib/incus/unix.socket.",
    )
    project = forms.SlugField(
        initial="berth", help_text="The Incus project that the panel owns. It touches no other."
    )
    pool = forms.CharField(
        label="Storage pool", initial="default", help_text="Where the containers' disks are made."
    )


class FaultsForm(forms.Form):
    """What is wrong with a simulated node."""

    unplugged = forms.BooleanField(required=False, help_text="It does not answer.")
    hanging = forms.BooleanField(
        required=False, help_text="It lets everybody wait, and does not answer."
    )
    slow = forms.BooleanField(required=False, help_text="Everything takes five times as long.")
    failing = forms.BooleanField(required=False, help_text="It refuses to do any work.")
    full = forms.BooleanField(required=False, help_text="No room for another container or file.")
