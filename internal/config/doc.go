// Package config reads what the operator says, flags and environment, and what the machine says: processors, quotas and
// memory, inside a container too.
//
// Invariants:
//   - Every flag of a command is also an environment variable: --max-len is ORTSERVE_MAX_LEN. The flag wins.
//   - A wrong value is one line that names the flag or variable, the value and what is allowed.
//   - There is no flag that does nothing.
//   - 0 or an empty value where it is allowed means that the program chooses.
package config
