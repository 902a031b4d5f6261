-- +goose Up
CREATE TABLE answers (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,                -- as whom it is asked
    dialect TEXT NOT NULL,
    previous TEXT NOT NULL,           -- the answer that it goes on from, '' if none
    status TEXT NOT NULL,
    path TEXT NOT NULL,               -- of the request; '' if nobody has to make it
    request TEXT NOT NULL,
    input TEXT NOT NULL,              -- what was said, in the vendor's JSON
    answer TEXT NOT NULL,             -- the vendor's JSON, of what is known
    failure TEXT NOT NULL,            -- the vendor's error, where the request was refused
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    holder TEXT NOT NULL,
    held BIGINT NOT NULL
);
CREATE INDEX answers_ended ON answers (ended);
CREATE INDEX answers_expires ON answers (expires);

CREATE TABLE answer_events (
    answer TEXT NOT NULL,
    n BIGINT NOT NULL,
    name TEXT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (answer, n)
);
