// Package shipped holds the rules that come with Assay: YAML files, each with its tests beside it. They are read like any
// other rule files, so what they say can be overridden by id, and they know nothing that the files of an operator could
// not say too.
//
// The ids of these rules are stable for ever: logs, exceptions and overrides of operators name them. A rule that is renamed
// lists its old id in "replaces".
//
// Out of the box nothing legitimate is lost: rules that refuse or hold mail ship with "mode: monitor", rules that only mark
// mail or take out what no mail program runs ship with "mode: enforce". The head of each file says what to enforce next.
package shipped

import (
	"embed"
	"io/fs"
)

// Files are the rule files, their tests, and the messages that those tests read. It is never written to.
var Files fs.FS = embedded

//go:embed *.yaml testdata
var embedded embed.FS
