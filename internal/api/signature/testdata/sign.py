"""Sign requests as botocore does, for signature_test.go: python sign.py > ../signatures_test.go"""
import datetime
import json
from unittest import mock

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
print("package signature_test\n\n// Made by testdata/sign.py.\nvar signatures = []struct{ path, body, signature string }{")
for path, body in [("/model/m/converse", '{"a":1}'), ("/model/org.m%3A0/converse-stream", ""), ("/model/arn%3Aaws%3Abedrock%3A%3A1%3Aprofile%2Fus.x/invoke", "{}"),
                   ("/model/w%C3%B6rld%20~x/invoke", "wörld"), ("/async-invoke?maxResults=2&a-b=%2F&a=1&flag", "")]:
    r = AWSRequest("POST", "http://localhost:4747" + path, data=body.encode(), headers={"Content-Type": "application/json", "X-Note": "  two   words "})
    with mock.patch.object(auth, "get_current_datetime", lambda *a, **k: NOW):
        auth.SigV4Auth(KEYS, "bedrock", "us-east-1").add_auth(r)
    print("\t{%s}," % ", ".join(json.dumps(s, ensure_ascii=False) for s in (path, body, r.headers["Authorization"].split("Signature=")[1])))
print("}")
