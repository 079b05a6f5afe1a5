/** Who may do what. */
import type { AccessOption } from './access-rule.ts'
import { readAccess } from './access-rules.ts'
import { structure, text } from './option.ts'

export const ACCESS_OPTIONS = {
  access: structure<AccessOption>('access', (value) => readAccess(value).problems, 'a list of rules', [],
    'Who may publish, subscribe and read which topics, once it is known who somebody is: a list of rules, the first ' +
    'that is for the person and the topic decides: see docs/access.md. It is read anew by holdfast reload.'),
  aclFile: text('access', /^[^\0]*$/, 'the path of a file', '',
    'The same as a file in the form of mosquitto\'s acl_file (topic, user, pattern), behind the rules of access. A ' +
    'relative path is taken from the working directory. It is read anew by holdfast reload.'),
  adminGroup: text('access', /^[^\0]+$/, 'a name', 'admin',
    'Group of those who administer the server: they may subscribe to $SYS/... without a rule.')
} as const
