package rules

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"assay/rules/facts"
	"assay/rules/lookalike"
)

// A Function is one function of the rule language beyond those of CEL.
type Function struct {
	Name    string
	Usage   string // "listed(list, text)"
	Doc     string
	Example string
	list    bool // the first argument is the name of a list
}

// Functions returns the functions of the rule language beyond those of CEL.
func Functions() []Function {
	return []Function{
		{"listed", `listed("list", text)`, "Whether a text is an entry of a list, without regard to case and accents. An entry .example.com or *.example.com matches the domains below example.com, @example.com the addresses of that domain.", `listed("vips", from.name)`, true},
		{"listed_any", `listed_any("list", texts)`, "Whether at least one of several texts is an entry of a list.", `listed_any("org_domains", rcpts.map(r, r.domain))`, true},
		{"lookalike", `lookalike("list", domain)`, "Whether a domain is not listed but looks like one that is.", `lookalike("org_domains", from.domain)`, true},
		{"shows_name", `shows_name("list", text)`, "Whether a text holds all words of an entry, in any order, among others and also in letters that look alike.", `shows_name("vips", from.name)`, true},
		{"shows_address", `shows_address("list", text)`, "Whether a text shows an address whose domain is listed, lies below one that is, or looks like one.", `shows_address("org_domains", from.name)`, true},
		{"confusable", `confusable(text, text)`, "Whether two different texts look alike to a reader.", `confusable(from.name, "Erika Mustermann")`, false},
		{"fold", `fold(text)`, "A text in lower case and without accents.", `fold(subject).contains("rechnung")`, false},
		{"domain_under", `domain_under(domain, parent)`, "Whether a domain is another one or lies below it.", `domain_under(mail_from.domain, "example.net")`, false},
	}
}

// baseOptions declare facts and functions, and bind the latter to lists.
func baseOptions(lists map[string]*list) []cel.EnvOption {
	text, flag := cel.StringType, cel.BoolType
	options := append(facts.EnvOptions(),
		ext.Strings(), ext.Network(), ext.Lists(), ext.Sets(), ext.Math(), cel.OptionalTypes(),
		cel.EnableMacroCallTracking(),
		cel.ExpressionNestingDepthLimit(100),
		cel.ParserRecursionLimit(100),
		cel.ParserExpressionSizeLimit(20_000),
		cel.ParserErrorRecoveryLimit(4),
		cel.RegexProgramSizeLimit(20_000),
		cel.CostModel(models(lists)...),
		binary("listed", "listed_string_string", func(name, value string) bool { return lists[name].has(value) }),
		binary("lookalike", "lookalike_string_string", func(name, value string) bool { return lists[name].like(value) }),
		binary("shows_name", "shows_name_string_string", func(name, text string) bool { return lists[name].showsName(text) }),
		binary("shows_address", "shows_address_string_string", func(name, text string) bool { return lists[name].showsAddress(text) }),
		binary("confusable", "confusable_string_string", lookalike.Confusable),
		binary("domain_under", "domain_under_string_string", domainUnder),
		cel.Function("fold", cel.Overload("fold_string", []*cel.Type{text}, text,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				s, ok := v.(types.String)
				if !ok {
					return types.MaybeNoSuchOverloadErr(v)
				}
				return types.String(lookalike.Fold(string(s)))
			}))),
		cel.Function("listed_any", cel.Overload("listed_any_string_list", []*cel.Type{text, cel.ListType(text)}, flag,
			cel.BinaryBinding(func(name, values ref.Val) ref.Val { return listedAny(lists, name, values) }))),
	)
	return options
}

// binary declares a condition over two texts.
func binary(name, overload string, f func(a, b string) bool) cel.EnvOption {
	return cel.Function(name, cel.Overload(overload, []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
		cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			x, ok1 := a.(types.String)
			y, ok2 := b.(types.String)
			if !ok1 || !ok2 {
				return types.MaybeNoSuchOverloadErr(a)
			}
			return types.Bool(f(string(x), string(y)))
		})))
}

// listedAny is the function listed_any.
func listedAny(lists map[string]*list, name, values ref.Val) ref.Val {
	n, isName := name.(types.String)
	all, isList := values.(traits.Lister)
	if !isName || !isList {
		return types.MaybeNoSuchOverloadErr(values)
	}
	for it := all.Iterator(); it.HasNext() == types.True; {
		value, isText := it.Next().(types.String)
		if !isText {
			return types.MaybeNoSuchOverloadErr(values)
		}
		if lists[string(n)].has(string(value)) {
			return types.True
		}
	}
	return types.False
}

// models say what the functions cost: a scan of their texts, and for lookalike() one of the longest list it may be asked about.
func models(lists map[string]*list) []cost.OverloadModel {
	scan := func(id string, args ...cost.QuantityExpr) cost.OverloadModel {
		terms := []cost.QuantityExpr{cost.Const(5)}
		for _, a := range args {
			terms = append(terms, cost.StringScan(cost.Length(a)))
		}
		return cost.Overload(id, cost.EvalCost(cost.Sum(terms...)))
	}
	longest := 0
	for _, l := range lists {
		if len(l.alike) <= maxAlike {
			longest = max(longest, len(l.alike))
		}
	}
	return []cost.OverloadModel{
		scan("listed_string_string", cost.Arg(1)),
		cost.Overload("shows_name_string_string", cost.EvalCost(cost.Const(500))),
		cost.Overload("shows_address_string_string", cost.EvalCost(cost.Const(uint64(200+maxShownAddresses*(20+5*longest))))),
		scan("confusable_string_string", cost.Arg(0), cost.Arg(1)),
		scan("domain_under_string_string", cost.Arg(0), cost.Arg(1)),
		cost.Overload("lookalike_string_string", cost.EvalCost(cost.Const(uint64(20+5*longest)))),
		cost.Overload("listed_any_string_list", cost.EvalCost(cost.Sum(cost.Const(5), cost.Mul(cost.Const(5), cost.Length(cost.Arg(1)))))),
		cost.Overload("fold_string", cost.EvalCost(cost.Sum(cost.Const(5), cost.Length(cost.Arg(0)))), cost.ResultSize(cost.AtMost(cost.Arg(0)))),
	}
}

// domainUnder reports whether a domain is another one or lies below it.
func domainUnder(domain, parent string) bool {
	domain, parent = trimDomain(domain), trimDomain(parent)
	return parent != "" && (domain == parent || strings.HasSuffix(domain, "."+parent))
}

// trimDomain returns a domain in lower case without the dot of the root.
func trimDomain(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".") }
