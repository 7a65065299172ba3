-- Deploy turnkeep:types/storage_path to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.storage_path as text collate "C"
-- Bytes, as the storages count: longer ones would not fit into the index either.
constraint storage_path_has_1_to_1024_bytes
check (octet_length(value) between 1 and 1024)
-- No empty, '.' or '..' segment: what such a path names is the storage's guess.
constraint storage_path_is_plain check (value !~ '(^|/)[.]{0,2}(/|$)');

comment on domain turnkeep.storage_path is
$comment$A stored object's name in its bucket: 1 to 1024 bytes, without an
empty, "." or ".." segment.$comment$;

commit;
