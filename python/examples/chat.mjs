import { createClient } from '@supabase/supabase-js'

const { SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, USER_ID, ACCESS_TOKEN } = process.env
const supabase = createClient(SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, {
  accessToken: async () => ACCESS_TOKEN,    // or sign the user in with supabase.auth
})

const { data, error } = await supabase.rpc('append_turn', {
  continuation_id: 'trip-to-rome',
  request_id: crypto.randomUUID(),          // kept, and sent again after a lost reply
  messages: [
    { role: 'user', content: 'What does this ticket say?' },
    { role: 'assistant', content: 'Rome, platform 4, 9:40.' },
  ],
  files: [{ storage_path: `${USER_ID}/ticket.pdf`, mime_type: 'application/pdf' }],
})
if (error) throw error
console.log(data.next_seq, data.files.length)
