package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// defaultListen is where Galerne listens unless told otherwise: this machine only.
const defaultListen = "127.0.0.1:4747"

// environment is all that Galerne takes from environment variables. Nothing else reads them.
type environment struct {
	home        string // GALERNE_HOME, else the system's data folder
	key         string // GALERNE_API_KEY: the key that callers must send to serve and up
	upstreamKey string // GALERNE_UPSTREAM_KEY: the key that other servers want from us
	db          string // GALERNE_DB: the database, where it is not in home
	hfToken     string // HF_TOKEN: for gated models of Hugging Face
	python      string // GALERNE_PYTHON: the Python whose pip fetches "pypi:" sources
	hfURL       string // HF_ENDPOINT: a mirror of Hugging Face
	proxy       string // HTTPS_PROXY
	http        string // HTTP_PROXY: for mirrors without TLS
	noProxy     string // NO_PROXY
	noColour    bool   // NO_COLOR
}

func readEnvironment() environment {
	return environment{
		home:        dataHome(os.Getenv, os.UserHomeDir),
		key:         os.Getenv("GALERNE_API_KEY"),
		upstreamKey: os.Getenv("GALERNE_UPSTREAM_KEY"),
		db:          os.Getenv("GALERNE_DB"),
		hfToken:     os.Getenv("HF_TOKEN"),
		python:      os.Getenv("GALERNE_PYTHON"),
		hfURL:       os.Getenv("HF_ENDPOINT"),
		http:        firstOf(os.Getenv("HTTP_PROXY"), os.Getenv("http_proxy")),
		proxy:       firstOf(os.Getenv("HTTPS_PROXY"), os.Getenv("https_proxy")),
		noProxy:     firstOf(os.Getenv("NO_PROXY"), os.Getenv("no_proxy")),
		noColour:    os.Getenv("NO_COLOR") != "",
	}
}

// errHome: services often run without HOME, and their data must not end in the folder that they were started in.
var errHome = errors.New("there is no home folder for models and data: set GALERNE_HOME, or --home")

// dataHome is $GALERNE_HOME, else the platform's folder for a user's data; "" if there is none.
func dataHome(getenv func(string) string, userHome func() (string, error)) string {
	if home := getenv("GALERNE_HOME"); home != "" {
		return home
	}
	user, err := userHome()
	switch runtime.GOOS {
	case "windows":
		if local := getenv("LOCALAPPDATA"); local != "" {
			return filepath.Join(local, "galerne")
		}
	case "darwin":
		if err != nil {
			return ""
		}
		return filepath.Join(user, "Library", "Application Support", "galerne")
	}
	if xdg := getenv("XDG_DATA_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "galerne")
	}
	if err != nil {
		return ""
	}
	return filepath.Join(user, ".local", "share", "galerne")
}

func firstOf(values ...string) string {
	for _, v := range values {
		if strings.TrimSpace(v) != "" {
			return v
		}
	}
	return ""
}
