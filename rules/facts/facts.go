package facts

import (
	"assay/scan"
	"assay/verify"
	"assay/verify/message"
)

// An Input is all that is known about one message. Message stays open for as long as the Facts made from it are read.
type Input struct {
	Message *message.Message
	Results verify.Results
	Report  scan.Report
}

// Facts are the facts of one message. Each variable is computed when it is first read, and kept. Facts belong to one
// goroutine.
type Facts struct {
	in     Input
	stated *Tree          // facts of a test, nil for those of a message
	values map[string]any // variables that were read
	walked *structure     // of the message, once it was needed
}

// New returns the facts of a message.
func New(in Input) *Facts {
	return &Facts{in: in, values: make(map[string]any, 8)}
}

// Stated returns facts that somebody has written down, for tests of rules. Outcomes that are empty read "none".
func Stated(t Tree) *Facts {
	t.completeOutcomes()
	return &Facts{stated: &t, values: make(map[string]any, 8)}
}

// ResolveName returns the value of a variable, and whether there is one of that name. It is half of CEL's Activation.
func (f *Facts) ResolveName(name string) (any, bool) {
	if v, ok := f.values[name]; ok {
		return v, true
	}
	v, ok := variables[name]
	if !ok {
		return nil, false
	}
	var value any
	if f.stated != nil {
		value = v.stated(f.stated)
	} else {
		value = v.compute(f)
	}
	f.values[name] = value
	return value, true
}
