-- +goose Up
CREATE TABLE replies (
    name TEXT PRIMARY KEY,            -- of the request, as its caller and the server name it
    hash TEXT NOT NULL,               -- of its body
    status BIGINT NOT NULL,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX replies_expires ON replies (expires);
