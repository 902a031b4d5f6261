"""Read lines of {"schema": ..., "text": ..., "match": ..., "narrow": ...} and print a line for each
text of which match is not what it should be: true for valid JSON of the schema and nothing else. With
narrow, a valid text need not match."""
import json
import re
import sys

from jsonschema.validators import validator_for, Draft202012Validator

SURROGATE = re.compile("[\ud800-\udfff]")
RELATIVE = re.compile("(0|[1-9][0-9]*)(#|(/([^~/]|~[01])*)*)")


def no_constant(name):
    raise ValueError(name)


def relative(text):
    """jsonschema's own check takes any digit behind a 0 for one behind a leading 0: it refuses the pointer 105."""
    return not isinstance(text, str) or bool(RELATIVE.fullmatch(text))


def check(schema, text):
    value = json.loads(text, parse_constant=no_constant)
    if SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        return "half of a surrogate pair"
    if isinstance(schema, dict):
        cls = validator_for(schema, default=Draft202012Validator)
    else:
        cls = Draft202012Validator
    cls.check_schema(schema)
    cls.FORMAT_CHECKER.checkers["relative-json-pointer"] = relative, ()
    errors = cls(schema, format_checker=cls.FORMAT_CHECKER).iter_errors(value)
    return "; ".join(e.message for e in errors)


def main():
    count = 0
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            try:
                wrong = check(case["schema"], case["text"])
            except ValueError as err:
                wrong = repr(err)
            if wrong and case["match"] or not wrong and not case["match"] and not case["narrow"]:
                print(json.dumps(case | {"wrong": wrong}))
            count += 1
    print(count)


main()
