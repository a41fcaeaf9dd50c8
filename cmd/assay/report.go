package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"assay/cmd/internal/privacy"
)

// report returns the commands that explain to others what Assay does.
func (a *app) report() *cobra.Command {
	return group("report", "Explain to auditors, data protection officers and works councils what Assay does", "", a.reportPrivacy())
}

// reportPrivacy returns "report privacy".
func (a *app) reportPrivacy() *cobra.Command {
	c := &cobra.Command{
		Use:   "privacy",
		Short: "Say what is done with personal data, from the configuration in force",
		Long: "Say what Assay does with personal data: what is processed and why, what the log says, what is kept where and how long, who\n" +
			"can see it, whom Assay asks in the network, and what is never done. All of it follows from the configuration on this host\n" +
			"and the owners and modes of the files it names; each answer names the settings that change it, which are listed with\n" +
			"their values and places. Run it as root: other users do not see everything.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	lang := c.Flags().String("lang", "", "`LANGUAGE` of the report, en or de (default headers.language)")
	format := c.Flags().String("format", "text", "`FORMAT` of the report: text, md or json")
	offers(c, "lang", "en", "de")
	offers(c, "format", "text", "md", "json")
	c.RunE = func(*cobra.Command, []string) error {
		if !slices.Contains([]string{"", "en", "de"}, *lang) {
			return usageError{fmt.Errorf("--lang %q is neither en nor de", *lang)}
		}
		if !slices.Contains([]string{"text", "md", "json"}, *format) {
			return usageError{fmt.Errorf("--format %q is not one of text, md, json", *format)}
		}
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		in := privacy.Input{Loaded: loaded, Language: privacy.Language(*lang), Version: versionText(), Now: a.now(), Stat: describeFile,
			Journal: journalRetention("/")}
		if in.Language == "" {
			in.Language = privacy.Language(loaded.Config.Headers.Language)
		}
		if in.Host, err = os.Hostname(); err != nil {
			return err
		}
		r := privacy.New(in)
		switch *format {
		case "json":
			return encode(a.out, r)
		case "md":
			return r.Markdown(a.out)
		}
		return r.Text(a.out)
	}
	return c
}

// describeFile says who owns a file and who may do what with it.
func describeFile(path string) privacy.File {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return privacy.File{Problem: privacy.Missing}
	case err != nil:
		return privacy.File{Problem: privacy.Hidden}
	}
	f := privacy.File{Mode: info.Mode().String()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		f.Owner, f.Group = strconv.FormatUint(uint64(stat.Uid), 10), strconv.FormatUint(uint64(stat.Gid), 10)
		if u, err := user.LookupId(f.Owner); err == nil {
			f.Owner = u.Username
		}
		if g, err := user.LookupGroupId(f.Group); err == nil {
			f.Group = g.Name
		}
	}
	return f
}

// journalRetention returns the settings of systemd-journald below root that limit how long or how much it keeps, each with its
// place. Files and drop-ins are read in the order in which journald reads them, so that the last one of a name counts
// (journald.conf(5)).
func journalRetention(root string) []string {
	files := []string{filepath.Join(root, "etc/systemd/journald.conf")}
	byName := map[string]string{}
	for _, dir := range []string{"usr/lib/systemd", "run/systemd", "etc/systemd"} { // a name in a later one replaces that in an earlier one
		found, _ := filepath.Glob(filepath.Join(root, dir, "journald.conf.d", "*.conf")) // the pattern is right
		for _, path := range found {
			byName[filepath.Base(path)] = path
		}
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		files = append(files, byName[name])
	}
	values := map[string]string{}
	for _, path := range files {
		readJournald(root, path, values)
	}
	var found []string
	for _, key := range journalKeys() {
		if v := values[key]; v != "" {
			found = append(found, v)
		}
	}
	return found
}

// journalKeys are the settings of journald that limit what it keeps.
func journalKeys() []string {
	return []string{"Storage", "MaxRetentionSec", "SystemMaxUse", "RuntimeMaxUse", "ForwardToSyslog"}
}

// readJournald adds the settings of one file.
func readJournald(root, path string, values map[string]string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		key, value, found := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if key, value = strings.TrimSpace(key), strings.TrimSpace(value); !found || !slices.Contains(journalKeys(), key) {
			continue
		}
		values[key] = ""
		if value != "" { // an empty one restores the default
			name := strings.TrimPrefix(path, strings.TrimSuffix(root, "/"))
			values[key] = fmt.Sprintf("%s=%s (%s:%d)", key, value, name, n)
		}
	}
}
