-- Deploy turnkeep:types/pinned_file to pg
-- requires: schema/turnkeep

begin;

create type turnkeep.pinned_file as (
    id uuid,
    size_bytes bigint,
    bucket_id text,
    storage_path text,
    sha256 text,
    is_marked boolean
);

comment on type turnkeep.pinned_file is
$comment$What a call goes on with of a file that it has locked. is_marked: there is
something to write when it is linked, as it counts as an orphan, or as not
stored.$comment$;

commit;
