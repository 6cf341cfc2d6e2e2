package routes

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/engine"
	"ortserve/sample"
	"ortserve/template"
)

// errorKind is what went wrong, in the words of no dialect.
type errorKind uint8

const (
	kindInternal     errorKind = iota
	kindInvalid                // the request is wrong
	kindNotSupported           // the request is right, and this server or model cannot do it
	kindModelNotFound
	kindContextLength
	kindOverloaded
	kindClosing
	kindTimeout
	kindClientGone
	kindRateLimited
	kindUnauthorized
	kindForbidden
	kindNoRoute
	kindMethod
	kindTooLarge
	kindHeaderTooLarge
	kindEncoding
	kindSlowRequest
	kindUpstream // what this server asks another for
)

// errorTable gives each kind its status in every dialect and its type and code in OpenAI's. Ollama's dialect has the text
// alone. Failures that a repeated request meets again are 4xx, because clients repeat 408, 409, 429 and 5xx.
var errorTable = [...]struct {
	status    int
	typ, code string
}{
	kindInternal:       {http.StatusInternalServerError, "server_error", "internal_error"},
	kindInvalid:        {http.StatusBadRequest, "invalid_request_error", ""},
	kindNotSupported:   {http.StatusBadRequest, "invalid_request_error", "unsupported_parameter"},
	kindModelNotFound:  {http.StatusNotFound, "not_found_error", "model_not_found"},
	kindContextLength:  {http.StatusBadRequest, "exceed_context_size_error", "context_length_exceeded"},
	kindOverloaded:     {http.StatusServiceUnavailable, "unavailable_error", "overloaded"},
	kindClosing:        {http.StatusServiceUnavailable, "unavailable_error", "shutting_down"},
	kindTimeout:        {http.StatusGatewayTimeout, "server_error", "request_timeout"},
	kindClientGone:     {499, "server_error", "client_gone"},
	kindRateLimited:    {http.StatusTooManyRequests, "rate_limit_error", "rate_limit_exceeded"},
	kindUnauthorized:   {http.StatusUnauthorized, "authentication_error", "invalid_api_key"},
	kindForbidden:      {http.StatusForbidden, "permission_error", ""},
	kindNoRoute:        {http.StatusNotFound, "not_found_error", ""},
	kindMethod:         {http.StatusMethodNotAllowed, "invalid_request_error", "method_not_allowed"},
	kindTooLarge:       {http.StatusRequestEntityTooLarge, "invalid_request_error", "request_too_large"},
	kindHeaderTooLarge: {http.StatusRequestHeaderFieldsTooLarge, "invalid_request_error", "header_too_large"},
	kindEncoding:       {http.StatusUnsupportedMediaType, "invalid_request_error", "unsupported_encoding"},
	kindSlowRequest:    {http.StatusRequestTimeout, "invalid_request_error", "request_not_received"},
	kindUpstream:       {http.StatusBadGateway, "server_error", "upstream_error"},
}

// apiError is an error with what a client is told of it.
type apiError struct {
	kind    errorKind
	message string // for the client
	param   string // the field of the request, where one is at fault
	cause   error  // for the log alone

	promptTokens, window int           // of kindContextLength
	retryAfter           time.Duration // of kindOverloaded, kindClosing and kindRateLimited
}

// Error implements error.
func (e *apiError) Error() string {
	if e.cause != nil {
		return e.message + ": " + e.cause.Error()
	}
	return e.message
}

// Unwrap implements the interface of package errors.
func (e *apiError) Unwrap() error { return e.cause }

func (e *apiError) status() int { return errorTable[e.kind].status }

// invalid returns the error of a field with a wrong value.
func invalid(param, format string, args ...any) *apiError {
	return &apiError{kind: kindInvalid, param: param, message: fmt.Sprintf(format, args...)}
}

// notSupported returns the error of a field that would change the answer in a way this server cannot.
func notSupported(param, format string, args ...any) *apiError {
	return &apiError{kind: kindNotSupported, param: param, message: fmt.Sprintf(format, args...)}
}

// contextLength returns the error of a prompt that leaves no room in the window. Its words hold what the clients of
// llama.cpp, of vLLM and of OpenAI look for.
func contextLength(promptTokens, window int, limit string) *apiError {
	return &apiError{
		kind:         kindContextLength,
		promptTokens: promptTokens,
		window:       window,
		message: fmt.Sprintf("the request (%d tokens) exceeds the available context size (%d tokens), which must also hold the answer: "+
			"context_length_exceeded. This model's maximum context length is %d tokens (%s)", promptTokens, window, window, limit),
	}
}

// The causes with which a request's context ends.
var (
	errClientGone = errors.New("the client has gone")
	errTimeout    = errors.New("the request took too long")
)

// explain returns what a client is told of err, which may come from any package below.
func explain(err error) *apiError {
	var (
		api        *apiError
		window     *engine.ContextLengthError
		short      *engine.ConstraintLengthError
		overloaded *engine.OverloadedError
		param      *sample.ParamError
		tmpl       *template.Error
		routing    *fiber.Error
	)
	switch {
	case errors.As(err, &api):
		return api
	case errors.As(err, &window):
		return contextLength(window.PromptTokens, window.MaxLen, "--max-len")
	case errors.As(err, &short):
		return invalid("max_tokens", "%s", short.Error())
	case errors.As(err, &param):
		return invalid(param.Param, "%s", param.Error())
	case errors.As(err, &tmpl):
		return invalid("messages", "the model's chat template refuses the messages: %s", tmpl.Error())
	case errors.Is(err, errClientGone):
		return &apiError{kind: kindClientGone, message: errClientGone.Error()}
	case errors.Is(err, errTimeout):
		return &apiError{kind: kindTimeout, message: err.Error()}
	case errors.Is(err, engine.ErrNoPrompt):
		return invalid("", "%s", engine.ErrNoPrompt.Error())
	case errors.Is(err, engine.ErrToken):
		return invalid("", "%s", err.Error())
	case errors.Is(err, sample.ErrBanned):
		return invalid("logit_bias", "%s", sample.ErrBanned.Error())
	case errors.As(err, &overloaded):
		return &apiError{kind: kindOverloaded, message: overloaded.Error(), retryAfter: overloaded.RetryAfter}
	case errors.Is(err, engine.ErrClosed):
		return &apiError{kind: kindClosing, message: engine.ErrClosed.Error(), retryAfter: 5 * time.Second}
	case errors.As(err, &routing):
		return explainRouting(routing)
	default:
		return &apiError{kind: kindInternal, message: "internal error; the server's log says more under this request's id", cause: err}
	}
}

// explainRouting maps the errors that Fiber makes itself.
func explainRouting(err *fiber.Error) *apiError {
	for k, row := range errorTable {
		if row.status == err.Code && row.status != http.StatusBadRequest && errorKind(k) != kindModelNotFound {
			return &apiError{kind: errorKind(k), message: strings.ToLower(err.Message)}
		}
	}
	return &apiError{kind: kindInvalid, message: strings.ToLower(err.Message)}
}

// openaiError is the body of an error on OpenAI's routes: the union of the fields that OpenAI, vLLM and llama.cpp send.
type openaiError struct {
	Error openaiErrorBody `json:"error"`
}

type openaiErrorBody struct {
	Message      string  `json:"message"`
	Type         string  `json:"type"`
	Param        *string `json:"param"`
	Code         *string `json:"code"`
	PromptTokens *int    `json:"n_prompt_tokens,omitempty"`
	Window       *int    `json:"n_ctx,omitempty"`
}

// openaiBody returns e in OpenAI's shape.
func (e *apiError) openaiBody() openaiError {
	row := errorTable[e.kind]
	body := openaiErrorBody{Message: e.message, Type: row.typ}
	if e.param != "" {
		body.Param = &e.param
	}
	if row.code != "" {
		body.Code = &row.code
	}
	if e.kind == kindContextLength {
		body.PromptTokens, body.Window = &e.promptTokens, &e.window
	}
	return openaiError{Error: body}
}

// ollamaError is the body of an error on Ollama's routes.
type ollamaError struct {
	Error string `json:"error"`
}

func (e *apiError) ollamaBody() ollamaError { return ollamaError{Error: e.message} }

// isOllama says whether errors of that path are told in Ollama's shape; OpenAI's is the shape of all others.
func isOllama(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }

// sendError writes err as the answer to a request of that path, in its dialect.
func sendError(c *fiber.Ctx, path string, err *apiError) error {
	c.Response().ResetBody()
	c.Status(err.status())
	if err.retryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.FormatInt(int64(math.Ceil(err.retryAfter.Seconds())), 10))
	}
	if err.kind == kindUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, "Bearer")
	}
	switch {
	case isOllama(path):
		return sendJSON(c, ollamaJSON, err.ollamaBody())
	case isAnthropic(path):
		return sendJSON(c, openaiJSON, err.anthropicBody(c.GetRespHeader(fiber.HeaderXRequestID)))
	}
	return sendJSON(c, openaiJSON, err.openaiBody())
}

// causeOf returns why ctx ended, which says more than err where ctx is what ended the work.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
