// Package users is what can be done with users. What goes wrong by the caller's doing is an *Error.
package users

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"outrigger.test/peers/userservice/repository"
)

const (
	pageItems    = 100
	pageItemsMax = 1000
	// pageBytes is how many bytes of pictures a page has before it ends.
	pageBytes = 256 * 1024
	importMax = 10_000
	feedItems = 100
)

// Service is what can be done with users.
type Service struct {
	repository repository.Repository
}

// New returns the service of the users in a repository.
func New(repository repository.Repository) *Service { return &Service{repository} }

func (s *Service) Get(ctx context.Context, id string) (*repository.User, error) {
	if violations := checkID(id, "id"); violations != nil {
		return nil, invalid(violations)
	}
	user, err := s.repository.Get(ctx, id)
	return user, toldOf(err, id, "")
}

func (s *Service) Create(ctx context.Context, draft Draft) (*repository.User, error) {
	if violations := checkDraft(draft); violations != nil {
		return nil, invalid(violations)
	}
	draft = named(draft)
	result := s.repository.Insert(ctx, []repository.User{draft.user()})[0]
	return result.User, toldOf(result.Err, draft.ID, draft.Email)
}

// Update changes the fields of the mask; a version of 0 is any.
func (s *Service) Update(ctx context.Context, draft Draft, version int64, mask []string) (*repository.User, error) {
	paths, violations := maskOf(draft, mask)
	if violations = append(checkID(draft.ID, "user.id"), violations...); violations != nil {
		return nil, invalid(violations)
	}
	user, err := s.repository.Update(ctx, draft.ID, version, func(user *repository.User) {
		for field := range paths {
			draft.copyTo(user, field)
		}
	})
	return user, toldOf(err, draft.ID, draft.Email)
}

// Put creates or overwrites a user.
func (s *Service) Put(ctx context.Context, draft Draft, version int64) (*repository.User, error) {
	anonymous := draft
	anonymous.ID = ""
	if violations := append(checkID(draft.ID, "user.id"), checkDraft(anonymous)...); violations != nil {
		return nil, invalid(violations)
	}
	user, err := s.repository.Put(ctx, draft.user(), version)
	return user, toldOf(err, draft.ID, draft.Email)
}

func (s *Service) Delete(ctx context.Context, id string, version int64) error {
	if violations := checkID(id, "id"); violations != nil {
		return invalid(violations)
	}
	return toldOf(s.repository.Delete(ctx, id, version), id, "")
}

// Failed is a user of an import that was not created, by its place.
type Failed struct {
	Index int
	Error error
}

// Import creates what is valid and not taken of at most 10,000 users. It returns how many it did.
func (s *Service) Import(ctx context.Context, drafts []Draft) (created int, failed []Failed, err error) {
	if len(drafts) > importMax {
		return 0, nil, &Error{Kind: TooLarge, Message: fmt.Sprintf("an import has at most %d users", importMax)}
	}
	var valid []repository.User
	var places []int
	errorAt := make([]error, len(drafts))
	for at, draft := range drafts {
		if violations := checkDraft(draft); violations != nil {
			errorAt[at] = invalid(violations)
			continue
		}
		valid = append(valid, named(draft).user())
		places = append(places, at)
	}
	for at, result := range s.repository.Insert(ctx, valid) {
		errorAt[places[at]] = toldOf(result.Err, valid[at].ID, valid[at].Email)
	}
	for at, err := range errorAt {
		if err != nil {
			failed = append(failed, Failed{at, err})
		}
	}
	return len(drafts) - len(failed), failed, nil
}

// List hands out all users, page by page, each with the token of the next one; that of the last is empty.
func (s *Service) List(ctx context.Context, size int, token string, page func([]*repository.User, string) error) error {
	after, violations := listFrom(size, token)
	if violations != nil {
		return invalid(violations)
	}
	if size == 0 {
		size = pageItems
	}
	for {
		users, more, err := s.repository.List(ctx, after, min(size, pageItemsMax))
		if err != nil {
			return err
		}
		if fitting := fit(users); fitting < len(users) {
			users, more = users[:fitting], true
		}
		next := ""
		if more {
			after = users[len(users)-1].ID
			next = tokenOf(after)
		}
		if err := page(users, next); err != nil || !more {
			return err
		}
	}
}

func listFrom(size int, token string) (after string, violations []Violation) {
	if size < 0 {
		violations = append(violations, Violation{"page_size", "must not be negative"})
	}
	if token == "" {
		return "", violations
	}
	after, known := idOf(token)
	if !known || checkID(after, "") != nil {
		violations = append(violations, Violation{"page_token", "is not a token that this service gave"})
	}
	return after, violations
}

// fit is how many users a page has room for: the first one always.
func fit(users []*repository.User) int {
	bytes := 0
	for at, user := range users {
		if bytes >= pageBytes {
			return at
		}
		bytes += len(user.Picture)
	}
	return len(users)
}

// Watch hands out where it starts, then every change after that, until the context is over; after is nil for now.
func (s *Service) Watch(ctx context.Context, after *int64, begin func(int64) error, change func(repository.Change) error) error {
	revision, err := s.repository.Revision(ctx)
	if err != nil {
		return err
	}
	if after != nil {
		revision = *after
	}
	for started := false; ; started = true {
		changes, more, err := s.repository.Changes(ctx, revision, feedItems)
		var outside repository.OutOfRange
		if errors.As(err, &outside) {
			return &Error{Kind: UnknownRevision, Message: fmt.Sprintf("changes after revision %d are not known, "+
				"only those after %d to %d: list, then watch from now", revision, outside.Oldest, outside.Newest)}
		}
		if err != nil {
			return err
		}
		if !started {
			if err := begin(revision); err != nil {
				return err
			}
		}
		for _, each := range changes {
			if err := change(each); err != nil {
				return err
			}
			revision = each.Revision
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func named(draft Draft) Draft {
	if draft.ID == "" {
		draft.ID = rand.Text()
	}
	return draft
}
