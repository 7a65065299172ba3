-- Deploy turnkeep:core/replayed_turn to pg
-- requires: tables/messages
-- requires: tables/conversation_files
-- requires: core/find_files
-- requires: core/named_files

begin;

create function turnkeep.replayed_turn(
    owner_id uuid,
    conversation_id uuid,
    request_id text,
    messages jsonb,
    files public.files[]
)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
as $function$
declare
    v_first_seq bigint;
    v_first_at timestamptz;
    v_turn_size smallint;
    v_messages jsonb;
    v_is_same boolean;
    v_named_ids uuid[] := '{}';
begin
    select m.seq, m.created_at, m.turn_size into v_first_seq, v_first_at, v_turn_size
    from public.messages as m
    where m.owner_id = replayed_turn.owner_id
      and m.conversation_id = replayed_turn.conversation_id
      and m.request_id = replayed_turn.request_id;

    if not found then
        return null;
    end if;

    -- The stored rows themselves are compared, not a hash of them.
    select
        v_turn_size = jsonb_array_length(replayed_turn.messages) and bool_and(
            m.role::text = r.message ->> 'role'
            and m.content = r.message ->> 'content'
            and coalesce(m.metadata, '{}')
            = coalesce(nullif(r.message -> 'metadata', 'null'), '{}')
        ),
        jsonb_agg(s order by m.seq)
    into v_is_same, v_messages
    from public.messages as m
    join jsonb_array_elements(replayed_turn.messages)
        with ordinality as r (message, ordinal)
        on r.ordinal = m.seq - v_first_seq + 1
    cross join lateral (select m.id, m.seq, m.role, m.created_at) as s
    where m.owner_id = replayed_turn.owner_id
      and m.conversation_id = replayed_turn.conversation_id
      and m.seq >= v_first_seq
      and m.seq < v_first_seq + v_turn_size;

    if not v_is_same then
        raise exception 'request_id was used for another turn'
            using
                errcode = 'PT409',
                detail = format(
                    'request_id %s brought the turn at seq %s, with other roles, '
                    'contents or metadata.',
                    replayed_turn.request_id, v_first_seq
                ),
                hint = 'Make a new request_id for each new turn.';
    end if;

    if replayed_turn.files is not null
        or jsonb_path_exists(replayed_turn.messages, '$[*].file_ids[*]')
    then
        v_named_ids := turnkeep.named_files(
            replayed_turn.messages,
            turnkeep.find_files(replayed_turn.owner_id, replayed_turn.files)
        );
    end if;

    return jsonb_build_object(
        'request_id', replayed_turn.request_id,
        'replayed', true,
        -- What a turn creates carries the time of its first message.
        'created', (
            select c.created_at = v_first_at
            from public.conversations as c
            where c.owner_id = replayed_turn.owner_id
              and c.id = replayed_turn.conversation_id
        ),
        'messages', v_messages,
        'files', coalesce(
            (
                select jsonb_agg(
                    jsonb_build_object(
                        'id', f.id,
                        'bucket_id', f.bucket_id,
                        'storage_path', f.storage_path,
                        'created', f.created_at = v_first_at,
                        'linked', l.seq is not distinct from v_first_seq
                    )
                    order by array_position(v_named_ids, f.id)
                )
                from public.files as f
                left join public.conversation_files as l
                    on l.owner_id = f.owner_id
                    and l.conversation_id = replayed_turn.conversation_id
                    and l.file_id = f.id
                where f.owner_id = replayed_turn.owner_id
                  and f.id = any (v_named_ids)
            ),
            '[]'
        ),
        'unknown_files', to_jsonb(array(
            select n.id
            from unnest(v_named_ids) as n (id)
            where not exists (
                select from public.files as f
                where f.owner_id = replayed_turn.owner_id
                  and f.id = n.id
            )
            order by n.id
        )),
        'next_seq', v_first_seq + v_turn_size
    );
end
$function$;

comment on function turnkeep.replayed_turn(uuid, uuid, text, jsonb, public.files[]) is
$comment$Returns the reply of the turn that this request has stored already, rebuilt
from the rows; null when it has stored none. Writes nothing. The caller has locked the
conversation.

Raises:
- PT409 when the request stored other roles, contents or metadata.$comment$;

revoke all on function
turnkeep.replayed_turn(uuid, uuid, text, jsonb, public.files[])
from public, anon, authenticated, service_role;
grant execute on function
turnkeep.replayed_turn(uuid, uuid, text, jsonb, public.files[])
to turnkeep_api;

commit;
