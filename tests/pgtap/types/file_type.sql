begin;

select plan(1);

select enum_has_labels(
    'public', 'file_type', array['user_upload', 'generated', 'cache'],
    'a file comes from a person, from a model, or can be made again'
);

select * from finish();

rollback;
