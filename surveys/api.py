"""Surveys in the API: there to be found."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from organizations.api_base import ApiView, Moment, PageQuery, described, page, paged, query_of
from surveys.models import Survey


class SurveySerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", help_text="For example SV_8f3kq1ZpT0aWxYv.")
    ownerId = serializers.CharField(source="created_by.public_id", allow_null=True)
    creationDate = Moment(source="created_at")

    class Meta:
        model = Survey
        fields = ("id", "name", "ownerId", "creationDate")


class SurveysView(ApiView):
    @described(
        "listSurveys",
        "List surveys",
        paged("Survey", SurveySerializer(many=True)),
        400,
        parameters=[PageQuery],
        tags=["What there is"],
    )
    def get(self, request: Request) -> Response:
        """The organisation's surveys with their IDs, newest first."""
        rows = Survey.objects.visible_to(self.caller).select_related("created_by")
        found, next_page = page(request, rows, query_of(PageQuery, request))
        return Response({"elements": SurveySerializer(found, many=True).data, "nextPage": next_page})
