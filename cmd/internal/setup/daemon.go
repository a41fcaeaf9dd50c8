package setup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An endpoint is a place where Assay can be reached.
type endpoint struct {
	network, address string // as Go dials it
	written          string // as the MTA writes it
	unit             bool   // assay.socket opens it
}

// A daemon is Assay's own, as far as setup sees to it that it runs.
type daemon struct {
	sys      System
	endpoint endpoint
	units    []string // to enable
	start    []string // the command that starts it, nil if it answers
}

// systemd reports whether systemd runs.
func (s System) systemd() bool { return s.Exists(systemdRun) }

// knows reports whether systemd has a unit.
func (s System) knows(ctx context.Context, unit string) bool {
	_, err := s.Run(ctx, "systemctl", "cat", unit)
	return err == nil
}

// plan says what has to be done for the daemon to answer.
func (d *daemon) plan(ctx context.Context, r *Report) {
	answers := d.sys.Handshake(ctx, d.endpoint.network, d.endpoint.address) == nil
	r.found("Assay answers there", strconv.FormatBool(answers))
	switch {
	case d.sys.systemd():
		d.planUnits(ctx, r, answers)
	case answers:
	case d.sys.Exists(initScript):
		d.start = []string{initScript, "start"}
		r.Changes = append(r.Changes, Change{"daemon", "stopped", "running", "no milter answers at " + d.endpoint.written})
	default:
		r.Problems = append(r.Problems, "no milter answers at "+d.endpoint.written+", and there is neither systemd nor "+initScript+
			" to start it with: run \"assay serve\" as the user assay under your process supervisor")
	}
}

// planUnits finds the units that have to be enabled or started.
func (d *daemon) planUnits(ctx context.Context, r *Report, answers bool) {
	units := []string{"assay.service"}
	if d.endpoint.unit {
		units = []string{"assay.socket", "assay.service"}
	}
	if answers && !d.sys.knows(ctx, "assay.service") {
		return // it runs under another supervisor
	}
	for _, u := range units {
		if state, _ := d.sys.Run(ctx, "systemctl", "is-enabled", u); strings.TrimSpace(state) != "enabled" {
			d.units = append(d.units, u)
			r.Changes = append(r.Changes, Change{u, cmp.Or(strings.TrimSpace(state), "unknown"), "enabled", "it starts with the machine"})
		}
	}
	if answers {
		return
	}
	d.start = append([]string{"systemctl", "start"}, units...)
	r.Changes = append(r.Changes, Change{"daemon", "stopped", "running", "no milter answers at " + d.endpoint.written})
}

// run enables units, starts the daemon and waits until it answers where the MTA will look for it.
func (d *daemon) run(ctx context.Context) error {
	if len(d.units) > 0 {
		if out, err := d.sys.Run(ctx, "systemctl", append([]string{"enable"}, d.units...)...); err != nil {
			return fmt.Errorf("systemctl enable: %w: %s", err, out)
		}
	}
	if d.start == nil {
		return nil
	}
	if d.endpoint.unit { // systemd opens no socket for a service that runs already, and does not miss the file of one that is open
		if out, err := d.sys.Run(ctx, "systemctl", append([]string{"stop"}, d.start[2:]...)...); err != nil {
			return fmt.Errorf("systemctl stop: %w: %s", err, out)
		}
	}
	if out, err := d.sys.Run(ctx, d.start[0], d.start[1:]...); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(d.start, " "), err, out)
	}
	return d.await(ctx)
}

// await waits until Assay answers.
func (d *daemon) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := d.sys.Handshake(ctx, d.endpoint.network, d.endpoint.address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the daemon was started and does not answer at %s: %w; the MTA was left alone", d.endpoint.written, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// disable undoes what enabling the socket has done, unless another installation needs it. A service that does not start again is
// only noted: no MTA asks it any more.
func (s state) disable(ctx context.Context, sys System, j *journal, r *Report) error {
	uses := func(o state) bool {
		return o.Files[0].Path != s.Files[0].Path && slices.Contains(o.Units, "assay.socket")
	}
	if !slices.Contains(s.Units, "assay.socket") || !sys.systemd() || slices.ContainsFunc(j.Setups, uses) {
		return nil
	}
	_, inactive := sys.Run(ctx, "systemctl", "is-active", "assay.service")
	if out, err := sys.Run(ctx, "systemctl", "disable", "--now", "assay.socket"); err != nil {
		return fmt.Errorf("systemctl disable: %w: %s", err, out)
	}
	if inactive != nil {
		return nil
	}
	// The service has stopped with its socket (PartOf=), and goes on without it.
	if _, err := sys.Run(ctx, "systemctl", "start", "assay.service"); err != nil {
		r.Notes = append(r.Notes, "assay.service has stopped with assay.socket and does not start again: journalctl -u assay says why")
	}
	return nil
}
