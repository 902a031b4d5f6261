-- +goose Up
ALTER TABLE answers ADD COLUMN model TEXT NOT NULL DEFAULT ''; -- by which a list may be narrowed
CREATE INDEX answers_owner ON answers (owner, dialect, created, id);

CREATE TABLE answer_labels (
    answer TEXT NOT NULL,
    name TEXT NOT NULL,               -- the caller's own
    value TEXT NOT NULL,
    PRIMARY KEY (answer, name)
);
