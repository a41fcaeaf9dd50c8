package message

// LimitFields and friends.
const (
	LimitFields = "limit.fields"
	LimitHeader = "limit.header"
	LimitBody   = "limit.body"
)

type defects struct{ list []Defect }

func (d *defects) add(code, section, detail string) {
	d.list = append(d.list, Defect{Code: code, Section: section, Detail: detail})
}
