// Package redact takes secrets out of text that leaves the program: logs, errors, results, manifests and records.
//
// It knows shapes, not values: a secret that looks like a word, under a name that does not say what it is, passes. So configuration
// that [Holds] one is refused when it is read, and this is what stands behind.
package redact

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
)

// Mark stands where a secret was.
const Mark = "***"

// secretName is what a name ends with whose value is a secret.
const secretName = `(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|fernet[_-]?key|credential|signature|authorization|set-cookie|sig)`

var (
	addresses = regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://[^\s"'<>` + "`" + `]+`)
	awsKeys   = regexp.MustCompile(`\b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}\b`)
	// A short word after Bearer is English unless it has a digit.
	bearers = regexp.MustCompile(`(?i)\b(bearer|basic)\s+(?:[a-z0-9._~+/=-]{16,}|[a-z._~+/=-]*[0-9][a-z0-9._~+/=-]*)`)
	jwts    = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?`)
	pems    = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^-]|-[^-])*(?:-----END [A-Z ]*PRIVATE KEY-----)?`)
	pairs   = regexp.MustCompile(`(?i)((?:^|[^a-z0-9])[a-z0-9_.-]*` + secretName + `["']?\s*(?:=|:)\s*)(?:(")[^"]*"|(')[^']*'|["']?(?:(?:bearer|basic)\s+)?[^\s"'&,;)\]}]+)`)
	named   = regexp.MustCompile(`(?i)(?:^|[^a-z0-9])[a-z0-9_.-]*` + secretName + `$|^` + secretName + `$`)
	strs    = regexp.MustCompile(`"(?:\\.|[^"\\])*"`)
)

// String is s with every secret in it replaced by Mark.
func String(s string) string {
	s = pems.ReplaceAllString(s, Mark)
	s = addresses.ReplaceAllStringFunc(s, address)
	s = pairs.ReplaceAllString(s, "${1}${2}${3}"+Mark+"${2}${3}")
	s = bearers.ReplaceAllString(s, "${1} "+Mark)
	s = jwts.ReplaceAllString(s, Mark)
	return awsKeys.ReplaceAllString(s, Mark)
}

// Holds says whether s has a secret in it.
func Holds(s string) bool { return String(s) != s }

// address takes the user information out of one URL. Secret keys of AWS may hold a slash, so that a password is not ended by it; a
// user of PostgreSQL without a password is no secret.
func address(u string) string {
	scheme, rest, _ := strings.Cut(u, "://")
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		user, password, colon := strings.Cut(authority, ":")
		if !colon || user == "" || strings.Trim(password, "0123456789") == "" {
			return u // a host, and perhaps its port
		}
		if at = strings.LastIndexByte(rest, '@'); at < 0 {
			return u
		}
	}
	user := rest[:at]
	if strings.HasPrefix(strings.ToLower(scheme), "postgres") && !strings.Contains(user, ":") || user == Mark {
		return u
	}
	return scheme + "://" + Mark + rest[at:]
}

// JSON is a line of JSON with secrets taken out of its texts, and every text under a secret's name. The line stays JSON, in its order.
func JSON(line []byte) []byte {
	var out bytes.Buffer
	last, secret := 0, false
	for _, at := range strs.FindAllIndex(line, -1) {
		var s string
		if json.Unmarshal(line[at[0]:at[1]], &s) != nil {
			continue
		}
		isKey := bytes.HasPrefix(bytes.TrimLeft(line[at[1]:], " \t\r\n"), []byte(":"))
		clean := String(s)
		if secret && !isKey && s != "" {
			clean = Mark
		}
		secret = isKey && named.MatchString(s)
		if clean == s {
			continue
		}
		quoted, err := json.Marshal(clean)
		if err != nil {
			continue // a text is always encoded
		}
		out.Write(line[last:at[0]])
		out.Write(quoted)
		last = at[1]
	}
	if last == 0 {
		return line
	}
	out.Write(line[last:])
	return out.Bytes()
}

// Map is m with secrets taken out of its values; a value under a secret's name goes as a whole. m stays as it is.
func Map(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		if out[k] = String(v); v != "" && named.MatchString(k) {
			out[k] = Mark
		}
	}
	return out
}

// Lines passes whole lines of JSON, one or more in each Write, to w without their secrets.
func Lines(w io.Writer) io.Writer { return lines{w} }

type lines struct{ w io.Writer }

func (l lines) Write(p []byte) (int, error) {
	if _, err := l.w.Write(JSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
