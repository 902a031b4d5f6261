// Package api answers: who calls, what do they want, and how does the answer get back to them over
// HTTP? It knows no vendor: a vendor's API is a [Surface], a table of routes with the words for
// errors, and a [Server] serves several.
//
// # The way of a request
//
//	ServeHTTP   CORS; the path cleaned; the surface found: by prefix (/openai/...), else the only one
//	            that has the path, else by its marks (headers, then User-Agent), else the first
//	run         request id; draining; authorise, before the body is read; the route; log and metrics
//	Handle      the vendor's: Decode into its own structs, turn them into a chat.Request,
//	            then Answer and JSON, or Stream with an Encoder
//	Backend     chat.Backend as this caller may use it: the key's models only, tenant set, measured
//	Error       the vendor's: a Failure in its words. Handlers return errors and never write them
//
// # How to add a vendor
//
// A folder api/x with one package; it imports api, chat and fault, and no other vendor, except where
// a vendor speaks another's language (then its floor in internal/house is 11, and it takes the
// exported handlers, such as openai.Chat, into its own routes).
//
//  1. x.go: the package comment, and Surface() *api.Surface: Name (it is the prefix too), Marks, Routes,
//     Error, Head (own headers; Call.Quotas has what is left of the key's limits). Patterns are http.ServeMux's: {name} is one segment, unescaped, {name...} the rest.
//     A segment such as {model}:generate is not possible there: take {model...} and a Verb. The root
//     path alone is "/{$}"; a pattern "/" would take everything.
//  2. Wire types with json tags, one file a route. Unions stay json.RawMessage and are read with
//     api.Decode(path, raw, &v, strict), so that errors name the field: messages[2].content.
//  3. Every field of the vendor's reference has one of three fates: it goes into the chat.Request; it
//     is an api.Field with Hint (it cannot change the answer); or an api.Field with the values that
//     ask for what happens anyway, and Why, which is refused with 400 otherwise. None is dropped.
//  4. Errors: chat.ErrRequest.Because("x: ...").At("field") for what is wrong, chat.ErrUnsupported for
//     what cannot be done. api.FailureOf gives status, code, param, message; the surface's Error writes
//     them. Statuses that the vendor has of its own are chosen there from Failure.Kind and Code.
//  5. Whole: r, err := c.Answer(request), then c.JSON(200, wire). Streamed: c.Stream(encoder, request);
//     an Encoder has Type, Event, Ping, Fail and End, and writes with Frames: SSE, SSEText, Line (NDJSON), Item
//     (array), AWS (binary events), Raw. Started is held back until the first part, so errors before it have a status. Blocks do not
//     overlap in one choice; choices may interleave.
//  6. testdata/*.txtar: request, script, and by -update what was asked and the exact bytes; the test is
//     apitest.Golden(t, "testdata", api.Options{Surfaces: ...}). Read what -update writes.
//  7. test/sdk/x.py and its row in test/sdk/sdk_test.go: the official client against the same scripts.
//  8. A line in surfaces() of test/sdk and of cmd/galerne/serve.go, a floor in internal/house. Routes that
//     have a Body and Fields, and Surface.Absent, make docs/apis.md (go test ./test/sdk -run APIs -update).
//     apitest.Door and apitest.FuzzBodies hold for every surface; call them from its tests.
//
// For several vendors: vector (embeddings in small numbers), cite (citations where the model marks none), moderate
// (what a served model thinks of a text), Content (a string or parts), Call.Rank (which tells how in a header),
// Call.May (a route whose body asks for what another scope is for), an Encoder's Cut (a connection that
// ends with an error), openai.ReadChat and ReadText (OpenAI's fields, answered in another form).
//
// Server.Do answers a request from inside, as a key, for batches and background work; Options.Done is
// told what every request used.
package api
