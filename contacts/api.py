"""Contact lists in the API, where they are called mailing lists: there to be found."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.models import ContactList
from organizations.api_base import ApiView, Moment, PageQuery, described, page, paged, query_of


class MailingListSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", help_text="For example CG_8f3kq1ZpT0aWxYv.")
    ownerId = serializers.CharField(source="created_by.public_id", allow_null=True)
    creationDate = Moment(source="created_at")

    class Meta:
        model = ContactList
        fields = ("id", "name", "ownerId", "creationDate")


class MailingListsView(ApiView):
    @described(
        "listMailingLists",
        "List mailing lists",
        paged("MailingList", MailingListSerializer(many=True)),
        400,
        parameters=[PageQuery],
        tags=["What there is"],
    )
    def get(self, request: Request) -> Response:
        """The organisation's contact lists with their IDs, newest first."""
        rows = ContactList.objects.visible_to(self.caller).select_related("created_by")
        found, next_page = page(request, rows, query_of(PageQuery, request))
        return Response({"elements": MailingListSerializer(found, many=True).data, "nextPage": next_page})
