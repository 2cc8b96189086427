package users

import (
	"errors"
	"fmt"
	"strings"

	"outrigger.test/peers/userservice/repository"
)

// Violation is what is wrong with one field of a request.
type Violation struct {
	// Field is a path in the request, as in "user.email".
	Field, Description string
}

// Kind is why something could not be done.
type Kind int

const (
	NotFound Kind = iota
	AlreadyExists
	StaleVersion
	Invalid
	UnknownRevision
	TooLarge
)

// Error is why something could not be done, as it is told.
type Error struct {
	Kind       Kind
	Message    string
	Violations []Violation
}

func (e *Error) Error() string { return e.Message }

func invalid(violations []Violation) *Error {
	var sentences []string
	for _, violation := range violations[:min(3, len(violations))] {
		sentences = append(sentences, violation.Field+" "+violation.Description)
	}
	return &Error{Kind: Invalid, Message: strings.Join(sentences, "; "), Violations: violations}
}

// toldOf is an error of the repository about one user, as it is told.
func toldOf(err error, id, email string) error {
	var stale repository.Stale
	var taken repository.Taken
	switch {
	case err == nil:
		return nil
	case errors.As(err, &repository.Missing{}):
		return &Error{Kind: NotFound, Message: fmt.Sprintf("user \"%s\" not found", id)}
	case errors.As(err, &stale):
		return &Error{Kind: StaleVersion, Message: fmt.Sprintf("user \"%s\" is at version %d by now", id, stale.Version)}
	case errors.As(err, &taken):
		value := id
		if taken.Field == repository.Email {
			value = email
		}
		return &Error{Kind: AlreadyExists, Message: fmt.Sprintf("a user with %s \"%s\" already exists", taken.Field, value)}
	}
	return err
}
