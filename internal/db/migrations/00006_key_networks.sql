-- +goose Up
ALTER TABLE keys ADD COLUMN networks TEXT NOT NULL DEFAULT '[]'; -- JSON array of addresses and prefixes; [] means all
