package users

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"outrigger.test/peers/userservice/repository"
)

// Draft is a user as a caller wrote it, not yet checked.
type Draft struct {
	ID, Email, DisplayName string
	Picture                []byte
}

var (
	idPattern    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	emailPattern = regexp.MustCompile(`^[^\s\p{Cc}@]+@[^\s\p{Cc}@]+$`)
)

const (
	emailMax = 254
	nameMax  = 200
)

// fields are those that a caller may change, by their names in protobuf.
var fields = []string{"email", "display_name", "picture"}

func (d Draft) user() repository.User {
	return repository.User{ID: d.ID, Email: d.Email, DisplayName: d.DisplayName, Picture: d.Picture}
}

func (d Draft) isSet(field string) bool {
	switch field {
	case "email":
		return d.Email != ""
	case "display_name":
		return d.DisplayName != ""
	}
	return len(d.Picture) > 0
}

func (d Draft) copyTo(user *repository.User, field string) {
	switch field {
	case "email":
		user.Email = d.Email
	case "display_name":
		user.DisplayName = d.DisplayName
	case "picture":
		user.Picture = d.Picture
	}
}

func checkID(id, field string) []Violation {
	if idPattern.MatchString(id) {
		return nil
	}
	return []Violation{{field, `must be 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-"`}}
}

// checkDraft is what is wrong with a whole user; an empty id is right.
func checkDraft(draft Draft) []Violation {
	var violations []Violation
	if draft.ID != "" {
		violations = checkID(draft.ID, "user.id")
	}
	return append(append(violations, checkEmail(draft.Email)...), checkName(draft.DisplayName)...)
}

// maskOf is the fields that a mask takes from a draft, or what is wrong with them or the mask; an empty mask takes those
// that are set.
func maskOf(draft Draft, mask []string) (paths map[string]bool, violations []Violation) {
	paths = map[string]bool{}
	for _, field := range fields {
		if len(mask) == 0 && draft.isSet(field) {
			paths[field] = true
		}
	}
	for at, path := range mask {
		known := path == "*"
		for _, field := range fields {
			if path == field || path == "*" {
				paths[field] = true
				known = true
			}
		}
		if !known {
			violations = append(violations, Violation{"update_mask.paths[" + strconv.Itoa(at) + "]",
				"must be one of " + strings.Join(fields, ", ")})
		}
	}
	if len(mask) == 0 && len(paths) == 0 {
		violations = append(violations, Violation{"update_mask", "is empty, and so is every field that may be changed"})
	}
	if paths["email"] {
		violations = append(violations, checkEmail(draft.Email)...)
	}
	if paths["display_name"] {
		violations = append(violations, checkName(draft.DisplayName)...)
	}
	return paths, violations
}

func checkEmail(email string) []Violation {
	switch {
	case email == "":
		return []Violation{{"user.email", "is required"}}
	case utf16Length(email) > emailMax:
		return []Violation{{"user.email", "must have at most 254 characters"}}
	case !emailPattern.MatchString(email):
		return []Violation{{"user.email", "must be an address like name@host"}}
	}
	return nil
}

func checkName(name string) []Violation {
	switch {
	case strings.TrimSpace(name) == "":
		return []Violation{{"user.display_name", "is required"}}
	case utf16Length(name) > nameMax:
		return []Violation{{"user.display_name", "must have at most 200 characters"}}
	case strings.ContainsFunc(name, unicode.IsControl):
		return []Violation{{"user.display_name", "must not contain control characters"}}
	}
	return nil
}

// utf16Length counts as the service in TypeScript does.
func utf16Length(text string) int { return len(utf16.Encode([]rune(text))) }
