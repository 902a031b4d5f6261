// Command galerne serves open-weight language models from one's own machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the whole command line; each command has a file of its own.
type cli struct {
	Home       string   `help:"Folder for models and data." default:"${home}" placeholder:"DIR" type:"path"`
	DB         string   `name:"db" help:"Database of keys, usage, batches and kept answers, also $$GALERNE_DB: a file, or postgres://USER:PASSWORD@HOST/NAME. Default: galerne.db in the folder." placeholder:"WHERE"`
	Catalogues []string `name:"catalogue" help:"A catalogue file of your own, merged over the built-in one; may be repeated." placeholder:"FILE" type:"path"`

	Up    upCmd    `cmd:"" help:"Get the default model if it is missing, serve it, and say how to call it."`
	Chat  chatCmd  `cmd:"" help:"Chat with a model in the terminal."`
	Serve serveCmd `cmd:"" help:"Serve models through an OpenAI-compatible API."`

	Pull pullCmd `cmd:"" help:"Download a model."`
	List listCmd `cmd:"" help:"List the models on this machine, or in the catalogue."`
	Show showCmd `cmd:"" help:"Show what a model is: architecture, sizes, licence, template, memory."`
	Rm   rmCmd   `cmd:"" help:"Remove a model from this machine."`

	Key   keyCmd   `cmd:"" help:"Make, list and revoke the keys that callers need."`
	Usage usageCmd `cmd:"" help:"Sum what was asked: requests and tokens by key, model or day."`

	Bench   benchCmd   `cmd:"" help:"Measure a model's speed on this machine."`
	Inspect inspectCmd `cmd:"" help:"Look inside: tokens, prompts, logits, weights."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

const description = `Galerne serves open-weight language models from your own machine: one program, the API that your tools already speak, everything open to inspection.

  galerne up                        get a small model and serve it
  galerne chat                      talk to it
  galerne pull NAME                 get another model ("galerne list --available")
  galerne serve NAME --listen ADDR  serve it on an address of your choice

MODEL is a catalogue name (smollm2-135m), a .gguf file, a folder of safetensors, or a source such as hf:org/repo/file@revision.`

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, readEnvironment()))
}

// meant is the command that a wrong command line was for, as far as it can be told.
func meant(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context.Selected() != nil {
		return "galerne " + wrong.Context.Selected().Path()
	}
	return "galerne"
}

func newParser(c *cli, out, errOut io.Writer, exit func(code int), env environment) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("galerne"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(out, errOut), kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}), kong.ValueFormatter(helpOf),
		kong.Vars{"home": env.home, "listen": defaultListen, "scopes": scopeNames()},
	)
}

// helpOf is what is told of a flag, its default with it where kong does not print that by itself.
func helpOf(v *kong.Value) string {
	text := kong.DefaultHelpValueFormatter(v)
	if v.Flag != nil && v.Flag.PlaceHolder != "" && v.Default != "" {
		text += " Default: " + v.Default + "."
	}
	return text
}

// asMeant puts what other programs understand into words that this one has: help, help COMMAND, --version, nothing.
func asMeant(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case args[0] == "--version":
		return append([]string{"version"}, args[1:]...)
	}
	return args
}

// run is main without the process: it returns the exit status (0 done, 1 failed, 2 wrong usage,
// 130 interrupted).
func run(args []string, in io.Reader, out, errOut io.Writer, env environment) int {
	var c cli
	exit := -1
	parser, err := newParser(&c, out, errOut, func(code int) { exit = code }, env)
	if err != nil {
		fmt.Fprintln(errOut, "galerne:", err)
		return 1
	}
	k, err := parser.Parse(asMeant(args))
	if exit >= 0 { // --help has printed what was asked
		return exit
	}
	if err != nil {
		fmt.Fprintf(errOut, "galerne: %v\nTry: %s --help\n", err, meant(err))
		return 2
	}
	ctx, stop := untilInterrupted()
	defer stop()
	printed := &output{to: out}
	a := &app{ctx: ctx, home: c.Home, db: c.DB, catalogues: c.Catalogues, env: env, in: in, out: printed, err: errOut}
	if err = k.Run(a); err == nil {
		err = printed.lost()
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(errOut, "galerne: interrupted")
		return 130
	default:
		fmt.Fprintln(errOut, "galerne:", err)
		return 1
	}
}

// untilInterrupted is a context that ends with the first Ctrl-C or SIGTERM. A second one ends the program at once, however
// soon it comes, and also where the program was started with signals ignored, as a shell starts what ends with &.
func untilInterrupted() (ctx context.Context, stop func()) {
	ctx, end := context.WithCancel(context.Background())
	signals, over := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for {
			select {
			case got := <-signals:
				if number, ok := got.(syscall.Signal); ok && ctx.Err() != nil {
					os.Exit(128 + int(number))
				}
				end()
			case <-over:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		end()
	}
}
