Chats are kept where they say so, found again page by page, noted on, and removed.
-- script --
start prompt=5
text "Hel"
text "lo"
finish stop
end prompt=5 answer=2
-- request --
POST /v1/chat/completions
Authorization: Bearer a

{"model":"m","messages":[{"role":"user","content":"not kept"}],"metadata":{"k":"v"}}
-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_1

{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"system_fingerprint":null,"service_tier":"default"}
(no newline at the end)
-- request --
POST /v1/chat/completions
Authorization: Bearer a

{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","name":"ann","content":[{"type":"text","text":"Say "},{"type":"text","text":"hello"}]}],
"store":true,"metadata":{"k":"v","it's":"é"},"temperature":0.5,"seed":7,"user":"u1","tools":[{"type":"function","function":{"name":"f"}}]}
-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_2

{"id":"chatcmpl-2","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"system_fingerprint":null,"service_tier":"default"}
(no newline at the end)
-- request --
POST /v1/chat/completions
Authorization: Bearer a

{"model":"m","messages":[{"role":"user","content":"b"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"1"}],"store":true,"stream":true,"stream_options":{"include_usage":true}}
-- response --
200
Cache-Control: no-cache
Content-Type: text/event-stream
Openai-Version: 2020-10-01
X-Accel-Buffering: no
X-Request-Id: req_3

data: {"id":"chatcmpl-3","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":null,"service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-3","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":null,"service_tier":"default","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-3","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":null,"service_tier":"default","choices":[{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-3","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":null,"service_tier":"default","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-3","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":null,"service_tier":"default","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}

data: [DONE]

-- request --
GET /v1/chat/completions
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_4

{"object":"list","data":[{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"created":1700000000,"frequency_penalty":null,"id":"chatcmpl-2","input_user":"u1","metadata":{"it's":"é","k":"v"},"model":"m","object":"chat.completion","presence_penalty":null,"request_id":"req_2","response_format":null,"seed":7,"service_tier":"default","system_fingerprint":null,"temperature":0.5,"tool_choice":null,"tools":[{"type":"function","function":{"name":"f"}}],"top_p":null,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}},{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"created":1700000000,"frequency_penalty":null,"id":"chatcmpl-3","input_user":null,"metadata":{},"model":"m","object":"chat.completion","presence_penalty":null,"request_id":"req_3","response_format":null,"seed":null,"service_tier":"default","system_fingerprint":null,"temperature":null,"tool_choice":null,"tools":null,"top_p":null,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}],"first_id":"chatcmpl-2","last_id":"chatcmpl-3","has_more":false}
(no newline at the end)
-- request --
GET /v1/chat/completions?limit=1&order=desc
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_5

{"object":"list","data":[{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"created":1700000000,"frequency_penalty":null,"id":"chatcmpl-3","input_user":null,"metadata":{},"model":"m","object":"chat.completion","presence_penalty":null,"request_id":"req_3","response_format":null,"seed":null,"service_tier":"default","system_fingerprint":null,"temperature":null,"tool_choice":null,"tools":null,"top_p":null,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}],"first_id":"chatcmpl-3","last_id":"chatcmpl-3","has_more":true}
(no newline at the end)
-- request --
GET /v1/chat/completions?limit=1&order=desc&after=chatcmpl-3
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_6

{"object":"list","data":[{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"created":1700000000,"frequency_penalty":null,"id":"chatcmpl-2","input_user":"u1","metadata":{"it's":"é","k":"v"},"model":"m","object":"chat.completion","presence_penalty":null,"request_id":"req_2","response_format":null,"seed":7,"service_tier":"default","system_fingerprint":null,"temperature":0.5,"tool_choice":null,"tools":[{"type":"function","function":{"name":"f"}}],"top_p":null,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}],"first_id":"chatcmpl-2","last_id":"chatcmpl-2","has_more":false}
(no newline at the end)
-- request --
GET /v1/chat/completions?model=m&metadata[k]=v&metadata%5Bit%27s%5D=%C3%A9
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_7

{"object":"list","data":[{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"created":1700000000,"frequency_penalty":null,"id":"chatcmpl-2","input_user":"u1","metadata":{"it's":"é","k":"v"},"model":"m","object":"chat.completion","presence_penalty":null,"request_id":"req_2","response_format":null,"seed":7,"service_tier":"default","system_fingerprint":null,"temperature":0.5,"tool_choice":null,"tools":[{"type":"function","function":{"name":"f"}}],"top_p":null,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}],"first_id":"chatcmpl-2","last_id":"chatcmpl-2","has_more":false}
(no newline at the end)
-- request --
GET /v1/chat/completions?model=other
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_8

{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}
(no newline at the end)
-- request --
GET /v1/chat/completions?metadata=k
Authorization: Bearer a

-- response --
400
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_9

{"error":{"message":"metadata is no filter: write metadata[NAME]=VALUE, each name once","type":"invalid_request_error","param":"metadata","code":"invalid_request"}}
(no newline at the end)
-- request --
GET /v1/chat/completions?after=chatcmpl-9
Authorization: Bearer a

-- response --
404
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_10

{"error":{"message":"Chat completion with id \"chatcmpl-9\" not found: it was not stored here (store: true), or is no longer","type":"invalid_request_error","param":"after","code":"not_found"}}
(no newline at the end)
-- request --
GET /v1/chat/completions?order=random
Authorization: Bearer a

-- response --
400
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_11

{"error":{"message":"order is \"random\": asc and desc are possible","type":"invalid_request_error","param":"order","code":"invalid_request"}}
(no newline at the end)
-- request --
GET /v1/chat/completions
Authorization: Bearer another

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_12

{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}
(no newline at the end)
-- request --
GET /v1/chat/completions/chatcmpl-2
Authorization: Bearer another

-- response --
404
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_13

{"error":{"message":"Chat completion with id \"chatcmpl-2\" not found: it was not stored here (store: true), or is no longer","type":"invalid_request_error","param":"completion_id","code":"not_found"}}
(no newline at the end)
-- request --
GET /v1/chat/completions/chatcmpl-1
Authorization: Bearer a

-- response --
404
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_14

{"error":{"message":"Chat completion with id \"chatcmpl-1\" not found: it was not stored here (store: true), or is no longer","type":"invalid_request_error","param":"completion_id","code":"not_found"}}
(no newline at the end)
-- request --
GET /v1/chat/completions/chatcmpl-2/messages
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_15

{"object":"list","data":[{"content":"Be brief.","content_parts":null,"id":"chatcmpl-2-0","role":"system"},{"content":"Say hello","content_parts":[{"type":"text","text":"Say "},{"type":"text","text":"hello"}],"id":"chatcmpl-2-1","name":"ann","role":"user"}],"first_id":"chatcmpl-2-0","last_id":"chatcmpl-2-1","has_more":false}
(no newline at the end)
-- request --
GET /v1/chat/completions/chatcmpl-3/messages?order=desc&limit=2&after=chatcmpl-3-2
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_16

{"object":"list","data":[{"content":null,"content_parts":null,"id":"chatcmpl-3-1","role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"content":"b","content_parts":null,"id":"chatcmpl-3-0","role":"user"}],"first_id":"chatcmpl-3-1","last_id":"chatcmpl-3-0","has_more":false}
(no newline at the end)
-- request --
POST /v1/chat/completions/chatcmpl-2
Authorization: Bearer a

{"metadata":{"k":"w"}}
-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_17

{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"created":1700000000,"frequency_penalty":null,"id":"chatcmpl-2","input_user":"u1","metadata":{"k":"w"},"model":"m","object":"chat.completion","presence_penalty":null,"request_id":"req_2","response_format":null,"seed":7,"service_tier":"default","system_fingerprint":null,"temperature":0.5,"tool_choice":null,"tools":[{"type":"function","function":{"name":"f"}}],"top_p":null,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}
(no newline at the end)
-- request --
POST /v1/chat/completions/chatcmpl-2
Authorization: Bearer another

{"metadata":{}}
-- response --
404
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_18

{"error":{"message":"Chat completion with id \"chatcmpl-2\" not found: it was not stored here (store: true), or is no longer","type":"invalid_request_error","param":"completion_id","code":"not_found"}}
(no newline at the end)
-- request --
POST /v1/chat/completions/chatcmpl-2
Authorization: Bearer a

{"metadata":{"k":1}}
-- response --
400
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_19

{"error":{"message":"metadata.k must be a string, not a number","type":"invalid_request_error","param":"metadata.k","code":"invalid_request"}}
(no newline at the end)
-- request --
GET /v1/chat/completions?metadata[k]=v
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_20

{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}
(no newline at the end)
-- request --
POST /v1/chat/completions/chatcmpl-2
Authorization: Bearer a

{}
-- response --
400
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_21

{"error":{"message":"metadata is missing","type":"invalid_request_error","param":"metadata","code":"missing_required_parameter"}}
(no newline at the end)
-- request --
POST /v1/chat/completions/chatcmpl-2
Authorization: Bearer a

{"metadata":null}
-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_22

{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"created":1700000000,"frequency_penalty":null,"id":"chatcmpl-2","input_user":"u1","metadata":{},"model":"m","object":"chat.completion","presence_penalty":null,"request_id":"req_2","response_format":null,"seed":7,"service_tier":"default","system_fingerprint":null,"temperature":0.5,"tool_choice":null,"tools":[{"type":"function","function":{"name":"f"}}],"top_p":null,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}
(no newline at the end)
-- request --
DELETE /v1/chat/completions/chatcmpl-2
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_23

{"id":"chatcmpl-2","object":"chat.completion.deleted","deleted":true}
(no newline at the end)
-- request --
GET /v1/chat/completions/chatcmpl-2
Authorization: Bearer a

-- response --
404
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_24

{"error":{"message":"Chat completion with id \"chatcmpl-2\" not found: it was not stored here (store: true), or is no longer","type":"invalid_request_error","param":"completion_id","code":"not_found"}}
(no newline at the end)
-- request --
POST /v1/chat/completions
Authorization: Bearer a

{"model":"m","messages":[{"role":"user","content":"b"}],"store":true,"metadata":{"a-name-of-more-than-sixty-four-characters-is-longer-than-is-taken":"x"}}
-- response --
400
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_25

{"error":{"message":"metadata.a-name-of-more-than-sixty-four-characters-is-longer-than-is-take is too long: keys have at most 64 characters, values 512","type":"invalid_request_error","param":"metadata","code":"invalid_request"}}
(no newline at the end)
-- request --
GET /v1/responses/chatcmpl-3
Authorization: Bearer a

-- response --
404
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_26

{"error":{"message":"Response with id \"chatcmpl-3\" not found: it is not stored here, or no longer","type":"invalid_request_error","param":"response_id","code":"not_found"}}
(no newline at the end)
-- script --
start prompt=5
text "Hel"
fail internal x 0s "gone"
-- request --
POST /v1/chat/completions
Authorization: Bearer a

{"model":"m","messages":[{"role":"user","content":"b"}],"store":true,"stream":true}
-- response --
200
Cache-Control: no-cache
Content-Type: text/event-stream
Openai-Version: 2020-10-01
X-Accel-Buffering: no
X-Request-Id: req_27

data: {"id":"chatcmpl-27","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":null,"service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-27","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":null,"service_tier":"default","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}]}

data: {"error":{"message":"internal error: the server's log has the cause beside this request's id","type":"server_error","param":null,"code":"internal_error"}}

-- request --
GET /v1/chat/completions?order=desc&limit=1
Authorization: Bearer a

-- response --
200
Content-Type: application/json
Openai-Version: 2020-10-01
X-Request-Id: req_28

{"object":"list","data":[{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"created":1700000000,"frequency_penalty":null,"id":"chatcmpl-3","input_user":null,"metadata":{},"model":"m","object":"chat.completion","presence_penalty":null,"request_id":"req_3","response_format":null,"seed":null,"service_tier":"default","system_fingerprint":null,"temperature":null,"tool_choice":null,"tools":null,"top_p":null,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}],"first_id":"chatcmpl-3","last_id":"chatcmpl-3","has_more":false}
(no newline at the end)
