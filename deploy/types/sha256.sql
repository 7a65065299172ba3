-- Deploy turnkeep:types/sha256 to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.sha256 as text collate "C"
-- Without "{64}" in the pattern, which takes twenty times as long to match.
constraint sha256_is_lower_case_hex
check (octet_length(value) = 64 and value ~ '^[0-9a-f]+$');

comment on domain turnkeep.sha256 is
'A SHA-256 as 64 hexadecimal digits, the letters in lower case.';

commit;
