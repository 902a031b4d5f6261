"""What OpenAI's own Python client must not be sent. Where a trap is passed over one day, a rule that the
surface keeps for its sake can go."""
import json

import openai
from openai.types.chat import ChatCompletion

from common import URL, raises, stub

client = openai.OpenAI(base_url=URL + "/v1", api_key="any", max_retries=0)
HI = [{"role": "user", "content": "hi"}]
SHELL = {"type": "custom", "custom": {"name": "shell", "description": "runs a command"}}


def to(url):
    return client.with_options(base_url=url)


def trapped(name):
    return to(f"{URL}/test/raw/{name}/v1").chat.completions


def sent(*lines):
    """The completions of a server that streams the lines of an event each, and says [DONE]."""
    return to(stub("text/event-stream", "".join(line + "\n\n" for line in (*lines, "data: [DONE]")).encode())).chat.completions


def chunk(delta, finish=None, **more):
    return "data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                                  "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]})


FIRST, LAST = chunk({"role": "assistant", "content": "a"}), chunk({}, "stop")


def helped(completions):
    """What the helper for streams makes of an answer."""
    with completions.stream(model="m", messages=HI) as s:
        for _ in s:
            pass
        return s.get_final_completion().choices[0].message


def test_trap_the_stub_itself_is_understood():
    assert helped(sent(FIRST, LAST)).content == "a"
    assert helped(sent(": ping", FIRST, ": ping", LAST)).content == "a"  # what a keep-alive may be


def test_trap_the_helper_for_streams_does_not_know_custom_calls():
    with client.chat.completions.stream(model="custom", messages=HI, tools=[SHELL]) as s:  # docs/openai.md says what to use
        raises((AttributeError, AssertionError, TypeError), lambda: (list(s), s.get_final_completion()))


def test_trap_an_event_without_data():
    with trapped("openai_ping_event").create(model="m", messages=HI, stream=True) as s:
        raises(json.JSONDecodeError, list, s)


def test_trap_a_retry_line_alone():
    with sent(FIRST, "retry: 100", LAST).create(model="m", messages=HI, stream=True) as s:
        raises(json.JSONDecodeError, list, s)


def test_trap_calls_without_an_index():
    with trapped("openai_no_tool_index").stream(model="m", messages=HI) as s:
        raises((TypeError, RuntimeError), list, s)


def test_trap_a_delta_that_is_null():
    raises(AttributeError, helped, sent(FIRST, chunk(None), LAST))


def test_trap_no_finish_reason_is_not_noticed():
    with sent(FIRST.replace(', "finish_reason": null', "")).stream(model="m", messages=HI) as s:
        for _ in s:
            pass
        assert s.get_final_completion().choices[0].finish_reason is None  # an answer that was cut passes for a whole one


def test_trap_a_role_that_is_said_twice():
    with trapped("openai_role_twice").stream(model="m", messages=HI) as s:
        assert s.get_final_completion().choices[0].message.role == "assistantassistant"


def test_trap_an_id_that_is_said_twice():
    call = lambda arguments: {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}]}
    m = helped(sent(chunk({"role": "assistant", **call("{")}), chunk(call("}")), chunk({}, "tool_calls")))
    assert (m.tool_calls[0].id, m.tool_calls[0].function.name) == ("call_1call_1", "ff")


def test_trap_a_last_event_without_its_blank_line():
    assert "".join(c.choices[0].delta.content or "" for c in trapped("openai_no_blank_line").create(model="m", messages=HI, stream=True)) == "a"


def test_trap_nothing_is_checked():
    # So the other checks look at every field that they need.
    empty = to(stub("application/json", b"{}")).chat.completions.create(model="m", messages=HI)
    assert isinstance(empty, ChatCompletion) and empty.choices is None


def test_trap_floats_where_base64_was_asked():
    floats = json.dumps({"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    assert to(stub("application/json", floats.encode())).embeddings.create(model="m", input="a").data[0].embedding == [0.5, 0.25]  # the one that copes


# Responses: the events of a good stream, and what their absence does.

BASE = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "status": "in_progress"}
PART = {"type": "output_text", "text": "", "annotations": []}
MESSAGE = {"id": "i", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
PLACE = {"item_id": "i", "output_index": 0, "content_index": 0}
DONE = {**BASE, "status": "completed", "output": [{**MESSAGE, "status": "completed", "content": [{**PART, "text": "a"}]}]}
EVENTS = {"response.created": {"response": BASE}, "response.output_item.added": {"output_index": 0, "item": MESSAGE},
          "response.content_part.added": {**PLACE, "part": PART}, "response.output_text.delta": {**PLACE, "delta": "a", "logprobs": []},
          "response.completed": {"response": DONE}}


def responded(without="", named=True):
    lines = [(f"event: {kind}\n" if named else "") + "data: " + json.dumps({"type": kind, "sequence_number": i, **data}) + "\n\n"
             for i, (kind, data) in enumerate(EVENTS.items()) if kind != without]
    with to(stub("text/event-stream", "".join(lines).encode())).responses.stream(model="m", input="hi") as s:
        for _ in s:
            pass
        return s.get_final_response().output_text


def test_trap_responses_need_their_first_and_last_events_and_parts():
    assert responded() == "a" and responded(named=False) == "a"  # the type counts, not the event's name
    for needed in ("response.created", "response.content_part.added", "response.completed"):
        raises((RuntimeError, IndexError), responded, without=needed)
