package rules

// An Outcome is how one rule ended for one message.
type Outcome string

// The outcomes of a rule.
const (
	Fired     Outcome = "fired"
	Monitored Outcome = "monitored" // it would have fired; its mode is monitor
	Excepted  Outcome = "excepted"  // it would have fired but for an exception
	NotFired  Outcome = "not fired"
	Inactive  Outcome = "off"
	Failed    Outcome = "error"
)

// A Trace explains how one rule ended for one message.
type Trace struct {
	Rule       string           `json:"rule"`
	Title      string           `json:"title"`
	Mode       Mode             `json:"mode"`
	Severity   Severity         `json:"severity"`
	File       string           `json:"file"`
	Line       int              `json:"line"`
	Outcome    Outcome          `json:"outcome"`
	Condition  string           `json:"condition"`            // as it is written
	Values     []Value          `json:"values,omitempty"`     // what decided, in the order of the expression
	Exceptions []ExceptionTrace `json:"exceptions,omitempty"` // those that were considered
	Asked      []string         `json:"asked,omitempty"`      // what the rule asks for, in words
	Error      string           `json:"error,omitempty"`
}

// A Value is one sub-expression and what it was for this message.
type Value struct {
	Expr  string `json:"expr"`  // as it is written in the rule
	Text  string `json:"text"`  // the value in CEL notation; may quote the message, and long ones are cut off
	Depth int    `json:"depth"` // 0 in the condition of the rule; 1 in a macro it uses, 2 in a macro of that macro, ...
}

// An ExceptionTrace says why an exception applied or did not.
type ExceptionTrace struct {
	ID      string `json:"id"`
	Applied bool   `json:"applied"`
	Why     string `json:"why"`
}
