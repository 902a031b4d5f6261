-- +goose Up
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,               -- SHA-256 of the whole secret, hexadecimal
    tenant TEXT NOT NULL,
    scopes TEXT NOT NULL,             -- JSON array; [] means all
    models TEXT NOT NULL,             -- JSON array of patterns; [] means all
    requests_minute BIGINT NOT NULL,  -- 0: no limit, here and below
    tokens_minute BIGINT NOT NULL,
    answers BIGINT NOT NULL,
    tokens_day BIGINT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,          -- 0: never
    revoked BIGINT NOT NULL           -- 0: it is not
);
CREATE UNIQUE INDEX keys_name ON keys (name);

CREATE TABLE usage (
    id TEXT PRIMARY KEY,              -- the request's
    at BIGINT NOT NULL,
    key TEXT NOT NULL,
    tenant TEXT NOT NULL,
    surface TEXT NOT NULL,
    route TEXT NOT NULL,
    model TEXT NOT NULL,
    status BIGINT NOT NULL,
    code TEXT NOT NULL,
    prompt BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    answer BIGINT NOT NULL,
    took BIGINT NOT NULL              -- milliseconds
);
CREATE INDEX usage_key_at ON usage (key, at);
CREATE INDEX usage_at ON usage (at);
