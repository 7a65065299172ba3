-- From the registry of Sqitch before 0.99 to release 1.0.
create table :"registry".releases (
    version real not null,
    installed_at timestamptz not null default pg_catalog.clock_timestamp(),
    installer_name text not null,
    installer_email text not null,
    primary key (version)
);

comment on table :"registry".releases is 'Sqitch registry releases.';
comment on column :"registry".releases.version is 'Version of the Sqitch registry.';
comment on column :"registry".releases.installed_at
is 'Date the registry release was installed.';
comment on column :"registry".releases.installer_name
is 'Name of the user who installed the registry release.';
comment on column :"registry".releases.installer_email
is 'Email address of the user who installed the registry release.';

-- The next deployment that knows the scripts puts their hashes in.
alter table :"registry".changes add column script_hash text null unique;
update :"registry".changes set script_hash = change_id;
comment on column :"registry".changes.script_hash is 'Deploy script SHA-1 hash.';

alter table :"registry".events drop constraint events_event_check;
alter table :"registry".events add constraint events_event_check
check (event in ('deploy', 'revert', 'fail', 'merge'));

comment on schema :"registry" is 'Sqitch database deployment metadata v1.0.';
