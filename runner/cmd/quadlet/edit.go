// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/manage"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// NewEdit makes podunit quadlet edit.
func NewEdit(e *cli.Env) *cobra.Command {
	var reload, force bool
	cmd := &cobra.Command{
		Use:   "edit [flags] NAME",
		Short: "Edit a unit file, check it, and have systemd read it",
		Long: `Open a unit file in the editor ($VISUAL, $EDITOR). What podunit check finds wrong with it can be mended before it
is installed. A file below this user's own directory is changed where it is, with what a link there leads to. One from
a directory of the system or the distribution is copied to this user's own, where it hides the other one; a file that
does not exist is made.`,
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: complete(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return edit(cmd.Context(), e, args[0], reload, force)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&reload, "reload-systemd", true, "have systemd read the file afterwards, and say which services go on as before until they are restarted")
	f.BoolVarP(&force, "force", "f", false, "install it with errors too")
	return cmd
}

func edit(ctx context.Context, e *cli.Env, name string, reload, force bool) error {
	if strings.ContainsRune(name, '/') || !manage.IsUnit(name) {
		return hint.With(fmt.Errorf("%s: %w", name, manage.ErrType), "give the name of a unit file, as web.container")
	}
	s, err := openStore(e)
	if err != nil {
		return err
	}
	old, entry, err := s.Read(name)
	none := errors.Is(err, manage.ErrNotFound)
	if err != nil && !none {
		return err
	}
	entry.Name = name
	place, err := s.Place(entry)
	if err != nil {
		return err
	}
	dir, err := drafts()
	if err != nil {
		return err
	}
	draft := filepath.Join(dir, name)
	if err := os.WriteFile(draft, old, 0o600); err != nil {
		return err
	}
	for {
		if err := editor(ctx, e, draft); err != nil {
			return hint.With(err, "the draft is %s", draft)
		}
		data, err := os.ReadFile(draft)
		if err != nil {
			return err
		}
		if bytes.Equal(data, old) {
			fmt.Fprintln(e.Stderr, name+" is unchanged")
			if err := os.RemoveAll(dir); err != nil || none || !reload {
				return err
			}
			// An edit that was killed may have changed it, and not told systemd.
			return reloadFor(ctx, e, s, []string{name})
		}
		plan := manage.Plan{Files: []manage.File{{Name: name, From: draft, Data: data, Dir: place.Dir}}}
		list := s.Check(plan, checkOptions(e, e.User.UID == 0))
		if err := drawTo(e, e.Stderr, list); err != nil {
			return err
		}
		if list.Errors() > 0 && !force {
			switch ask(e, "Edit again (e), install with errors (i), or give up (q)? ") {
			case "e", "":
				continue
			case "i":
			default:
				return hint.With(fmt.Errorf("%s is not installed: %s", name, count(list.Errors(), "error")), "the draft is %s", draft)
			}
		}
		if err := s.Put(ctx, place, data); err != nil {
			return hint.With(err, "the draft is %s", draft)
		}
		fmt.Fprintln(e.Stdout, place.Path)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if reload {
			return reloadFor(ctx, e, s, []string{name})
		}
		return nil
	}
}

// drafts makes a directory for one draft. It is not in /tmp, where others could take or foresee its
// name.
func drafts() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	own := filepath.Join(cache, "podunit")
	if err := os.MkdirAll(own, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(own, "edit-")
}

// editor opens a file and waits until the editor ends.
func editor(ctx context.Context, e *cli.Env, file string) error {
	program := e.Getenv("VISUAL")
	if program == "" {
		program = e.Getenv("EDITOR")
	}
	if program == "" {
		for _, p := range []string{"editor", "nano", "vim", "vi"} {
			if found, err := exec.LookPath(p); err == nil {
				program = found
				break
			}
		}
	}
	words := strings.Fields(program)
	if len(words) == 0 {
		return hint.With(errors.New("no editor is installed"), "set EDITOR")
	}
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Stdin, e.Stdout, e.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("editor %s: %w", words[0], err)
	}
	return nil
}

// ask puts a question to the terminal; without a terminal the answer is q.
func ask(e *cli.Env, question string) string {
	if e.Stdin == nil || !term.IsTerminal(int(e.Stdin.Fd())) {
		return "q"
	}
	fmt.Fprint(e.Stderr, question)
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := e.Stdin.Read(b)
		if err != nil || n == 0 && len(line) == 0 {
			return "q"
		}
		if b[0] == '\n' {
			return strings.TrimSpace(string(line))
		}
		line = append(line, b[0])
	}
}
