"""Who answered is told by the frame of an answer, never by a sentence that Google may reword."""

from __future__ import annotations

import pytest

from runscrape_generator.doctor.answer import Who, first_line, who_answered
from runscrape_generator.doctor.evidence import Answer

APP = {"server": "Google Frontend", "x-cloud-trace-context": "0af7651916cd43dd8448eb211c80319c/1"}
PAGE = (
    b'\n<html><head>\n<meta http-equiv="content-type" content="text/html;charset=utf-8">\n'
    b"<title>403 Forbidden</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n"
    b"<h1>Error: Forbidden</h1>\n<h2>Some other words than today's.</h2>\n<h2></h2>\n"
    b"</body></html>\n"
)
ROBOT = (
    b"<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n"
    b"  <title>Error 404 (Not Found)!!1</title>\n  <style>*{margin:0}</style>\n"
    b"  <p><b>404.</b> <ins>That\xe2\x80\x99s an error.</ins>\n"
)
BALANCER = (
    b'<html><head>\n<meta http-equiv="content-type" content="text/html;charset=utf-8">\n'
    b"<title>502 Server Error</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n"
    b"<h1>Error: Server Error</h1>\n<h2>The server encountered a temporary error and could not "
    b"complete your request.<p>Please try again in 30 seconds.</h2>\n<h2></h2>\n</body></html>\n"
)

CASES = {
    "a page of the front end": (Answer(403, {}, PAGE), Who.CLOUD_RUN),
    "the same with the headers of an app": (Answer(403, APP, PAGE), Who.CLOUD_RUN),
    "the robot": (Answer(404, {}, ROBOT), Who.GOOGLE),
    "an app that shows a robot": (Answer(404, APP, ROBOT), Who.APP),
    "text of an app": (Answer(404, APP, b"404 page not found\n"), Who.APP),
    "nothing, with one of an app's headers": (Answer(500, {"server": "Google Frontend"}), Who.APP),
    "IAP's mark": (Answer(302, {"x-goog-iap-generated-response": "true"}), Who.IAP),
    "IAP's words": (Answer(401, APP, b"Invalid IAP credentials: Unable to parse JWT"), Who.IAP),
    "a load balancer's page": (Answer(502, {"via": "1.1 google"}, BALANCER), Who.LOAD_BALANCER),
    "a load balancer's text": (Answer(503, {}, b"no healthy upstream"), Who.LOAD_BALANCER),
    "a proxy that wants a password": (
        Answer(407, {"proxy-authenticate": "Basic"}),
        Who.HTTP_PROXY,
    ),
    "Squid": (Answer(503, {"server": "squid/5.7"}, b"<html>"), Who.HTTP_PROXY),
    "somebody": (Answer(404, {"server": "nginx"}, b"<html><h1>404</h1>"), Who.UNKNOWN),
    "an app that quotes the page": (Answer(403, APP, b"it said: " + PAGE), Who.APP),
}


@pytest.mark.parametrize("case", CASES)
def test_who_answered(case: str) -> None:
    """Each sign says who made the answer."""
    answer, who = CASES[case]
    assert who_answered(answer) is who


def test_the_gateway() -> None:
    """The gateway's words count only where the gateway was asked: else an app may say them."""
    answer = Answer(503, APP, b"runscrape-proxy: no token: the clock is wrong\n")
    assert who_answered(answer, gateway=True) is Who.GATEWAY
    assert who_answered(answer) is Who.APP


def test_first_line() -> None:
    """What is shown of a page is its text on one line, without tags, shortened."""
    assert first_line(Answer(403, {}, PAGE)) == (
        "403 Forbidden Error: Forbidden Some other words than today's."
    )
    assert first_line(Answer(404, {}, ROBOT)) == (
        "Error 404 (Not Found)!!1 404. That\N{RIGHT SINGLE QUOTATION MARK}s an error."
    )
    assert first_line(Answer(200, {}, b"x" * 500), 20) == "x" * 19 + "\N{HORIZONTAL ELLIPSIS}"
