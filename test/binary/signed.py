"""Amazon's own client signs a request; argv: url, access key id, secret. Prints the answer's role, or the error's code."""
import sys

import boto3
import botocore

url, id, secret = sys.argv[1:]
client = boto3.client("bedrock-runtime", endpoint_url=url, region_name="eu-west-3", aws_access_key_id=id, aws_secret_access_key=secret,
                      config=botocore.config.Config(retries={"total_max_attempts": 1}))
try:
    r = client.converse(modelId="default", messages=[{"role": "user", "content": [{"text": "hi"}]}], inferenceConfig={"maxTokens": 2})
    print(r["output"]["message"]["role"])
except botocore.exceptions.ClientError as e:
    print(e.response["Error"]["Code"])
