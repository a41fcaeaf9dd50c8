package filter

import (
	"fmt"
	"slices"

	"assay/milter/plan"
	"assay/rules"
	"assay/verify/arc"
	"assay/verify/message"
)

// seal returns p with an ARC set on top of the message as p delivers it. Mail whose sender is trusted was not checked,
// so there is nothing to record. A message that cannot be sealed is delivered without: the set is a service to hosts
// behind this one, and nobody's mail depends on it.
func (f *Filter) seal(o *Outcome, m *message.Message, p plan.Plan, caps plan.Capabilities) plan.Plan {
	if f.opt.Sealer == nil || o.Results.Skipped != "" {
		return p
	}
	fields, err := f.set(o, m, p)
	if err != nil {
		o.Unsealed = err.Error()
		return p
	}
	ops := slices.Clone(p.Ops)
	for _, h := range slices.Backward(fields) {
		ops = append(ops, plan.Op{Kind: plan.InsertHeader, Name: h.Name, Value: h.Value})
	}
	sealed, err := plan.Build(ops, caps)
	if err != nil {
		o.Unsealed = err.Error()
		return p
	}
	o.Headers = append(fields, o.Headers...)
	return sealed
}

// set returns the fields of the set, top one first. A panic is an error.
func (f *Filter) set(o *Outcome, m *message.Message, p plan.Plan) (fields []rules.HeaderField, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	subject := o.subject()
	set, err := f.opt.Sealer.Seal(arc.Hop{
		Chain: o.Results.ARC, Results: f.opt.Headers.Results(subject), At: o.Envelope.ReceivedAt,
		Header: p.Header(m.Header), Body: p.Body(m),
	})
	return []rules.HeaderField{
		{Name: arc.SealName, Value: set.Seal},
		{Name: arc.SignatureName, Value: set.Signature},
		{Name: arc.ResultsName, Value: set.Results},
	}, err
}
