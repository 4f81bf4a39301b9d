"""Which handler answers which request, and what a request offers its handler."""

import pytest

from node.http import (
    STATUS_OF,
    ApiError,
    HttpLimits,
    Query,
    Request,
    Response,
    Router,
    SyncRoute,
    invalid_field,
)
from node.http.encode import Encoder
from node.http.router import PARAMETER_MAX


def answer(_request: Request) -> Response:
    return Response(200)


def route(method: str, pattern: str) -> SyncRoute:
    return SyncRoute(method, pattern, answer)


TABLE = Router(
    [
        route("GET", "/v1/services"),
        route("POST", "/v1/services"),
        route("POST", "/v1/services:batch"),
        route("GET", "/v1/services/{name}"),
        route("GET", "/v1/services/{name}/{id}"),
        route("DELETE", "/v1/services/{name}/{id}"),
        route("PUT", "/v1/services/{name}/{id}/heartbeat"),
        route("GET", "/"),
    ]
)


def refusal(router: Router, method: str, path: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        router.match(method, path)
    return caught.value


@pytest.mark.parametrize(
    ("method", "path", "pattern", "params"),
    [
        ("GET", "/", "/", {}),
        ("HEAD", "/v1/services", "/v1/services", {}),
        ("POST", "/v1/services:batch", "/v1/services:batch", {}),
        ("GET", "/v1/services/web", "/v1/services/{name}", {"name": "web"}),
        ("DELETE", "/v1/services/web/1", "/v1/services/{name}/{id}", {"name": "web", "id": "1"}),
        ("PUT", "/v1/services/a/b/heartbeat", "/v1/services/{name}/{id}/heartbeat",
         {"name": "a", "id": "b"}),
    ],
)  # fmt: skip
def test_a_path_finds_its_route(
    method: str, path: str, pattern: str, params: dict[str, str]
) -> None:
    match = TABLE.match(method, path)

    assert (match.route.pattern, dict(match.params)) == (pattern, params)


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v1/services/", "/v1/services//x", "/v1/services/a/b/c", "/V1/services"],
)
def test_a_path_without_a_route_is_not_found(path: str) -> None:
    assert refusal(TABLE, "GET", path).code == "not_found"


def test_another_method_is_refused_with_what_is_allowed() -> None:
    static, pattern = (
        refusal(TABLE, "DELETE", "/v1/services"),
        refusal(TABLE, "PUT", "/v1/services/a/b"),
    )

    assert (static.status, static.headers) == (405, (("Allow", "GET, POST, HEAD, OPTIONS"),))
    assert (pattern.code, pattern.headers) == (
        "method_not_allowed",
        (("Allow", "GET, DELETE, HEAD, OPTIONS"),),
    )


def test_a_parameter_has_a_limit() -> None:
    longest = "n" * PARAMETER_MAX

    assert TABLE.match("GET", f"/v1/services/{longest}").params == {"name": longest}
    error = refusal(TABLE, "GET", f"/v1/services/{longest}n")
    assert (error.code, error.field) == ("invalid_field", "name")


@pytest.mark.parametrize(
    "routes",
    [
        [route("GET", "/a"), route("GET", "/a")],
        [route("BREW", "/a")],
        [route("GET", "a")],
        [route("GET", "/{a}/x"), route("GET", "/b/{c}")],
        [route("GET", "/{a}/{a}")],
        [route("GET", "/x-{a}")],
        [route("GET", "/{a}//b")],
        [route("GET", "/v/{a}"), route("PUT", "/v/{b}")],
    ],
)
def test_a_table_with_an_ambiguity_is_refused(routes: list[SyncRoute]) -> None:
    with pytest.raises(ValueError, match=r"route|parameter"):
        Router(routes)


def test_every_code_has_a_status_of_errors_and_is_bound_to_it() -> None:
    assert all(400 <= status <= 503 for status in STATUS_OF.values())
    with pytest.raises(ValueError, match="does not travel"):
        ApiError(404, "internal", "no")


def test_details_cannot_hide_a_member_of_the_error_shape() -> None:
    error = invalid_field("port", "port is -1").with_detail("code", "x").with_detail("owner", "y")

    assert error.encode("r") == (
        b'{"error":{"code":"invalid_field","owner":"y","message":"port is -1","field":"port",'
        b'"definite":true,"request_id":"r"}}\n'
    )


def test_a_query_refuses_what_it_does_not_know() -> None:
    query = Query((("limit", "5"), ("meta.a", "b"), ("tag", "x"), ("tag", "y")))

    assert query.integer("limit", default=1, low=1, high=5) == 5
    assert query.integer("absent", default=1, low=1, high=5) == 1
    assert query.all("tag") == ["x", "y"]
    query.check_known("limit", "tag", prefix="meta.")
    with pytest.raises(ApiError, match=r"unknown query parameter 'meta\.a'"):
        query.check_known("limit", "tag")
    with pytest.raises(ApiError, match="2 times"):
        query.get("tag")


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", " 1", "0", "6", "x", "9" * 40, "\u0661"])
def test_a_number_has_one_spelling_and_a_range(text: str) -> None:
    with pytest.raises(ApiError, match="limit is"):
        Query((("limit", text),)).integer("limit", default=1, low=1, high=5)


@pytest.mark.parametrize(
    "header",
    [("A b", "c"), ("", "c"), ("A", "b\r\nC: d"), ("A", "b\n"), ("A", "\0"), ("A", "ä"),
     ("Content-Length", "3"), ("Connection", "close")],
)  # fmt: skip
def test_a_header_cannot_break_out_of_its_line(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"header|server itself"):
        Encoder("alpha").encode(
            Response(200, headers=(header,)), "r", connection=None, with_body=True
        )


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="idle_s is 0"):
        HttpLimits(idle_s=0)
