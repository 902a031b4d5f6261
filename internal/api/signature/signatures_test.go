package signature_test

// Made by testdata/sign.py.
var signatures = []struct{ path, body, signature string }{
	{"/model/m/converse", "{\"a\":1}", "ed06d929801e0c30504d30470eead3a061a15edfb7a500fca5177df386f92ed8"},
	{"/model/org.m%3A0/converse-stream", "", "59e56aa22cb8037f85b48208cd7af0d24e25f8c3a556cb5f4325f197aacac961"},
	{"/model/arn%3Aaws%3Abedrock%3A%3A1%3Aprofile%2Fus.x/invoke", "{}", "32841f09f40fcdec429e7a406ce20133adbe7c3c73d027db1d1c07c46d4d92e3"},
	{"/model/w%C3%B6rld%20~x/invoke", "wörld", "e3e199f3fd4e41845bd76e5d29a2d5b129157268be654bf2453c2ae4322f50be"},
	{"/async-invoke?maxResults=2&a-b=%2F&a=1&flag", "", "26b76de446d0943d8e9a769317e507f051bdbc47c26de994fd51dd530582dc4a"},
}
