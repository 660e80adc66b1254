import type { GrantRole } from '#lib/api/types';
import { translated } from './translated';

/** English of sharing with people. */
const english = {
  section: 'People',
  text: 'People with an account here. They find it under “Shared with me”.',
  name: 'Username',
  role: 'Role',
  roleOf: (name: string) => `Role of ${name}`,
  roles: { viewer: 'Viewer', commenter: 'Commenter', editor: 'Editor' } satisfies Record<
    GrantRole,
    string
  > as Record<GrantRole, string>,
  may: {
    viewer: 'reads',
    commenter: 'reads, and writes notes beside messages',
    editor: 'reads, writes notes, and writes and edits messages',
  } satisfies Record<GrantRole, string> as Record<GrantRole, string>,
  lasts: 'Access lasts',
  always: 'Until I end it',
  add: 'Share',
  list: 'Who has access',
  none: 'Nobody but you.',
  you: 'You',
  owner: 'Owner',
  gone: 'account deleted',
  until: (day: string) => `until ${day}`,
  expired: (day: string) => `ended ${day}`,
  end: 'End access',
  endOf: (name: string) => `End access of ${name}`,
  added: (name: string) => `${name} has access now.`,
  changed: (name: string) => `The role of ${name} is changed.`,
  ended: (name: string) => `${name} has no access any more.`,
  problems: {
    own: 'This is you: it is yours already.',
    user_not_found: 'There is nobody with this name here.',
    too_many_grants:
      'It is shared with as many people as can be. End the access of somebody first.',
    too_many_requests: 'That was too often. Try again in a minute.',
  } as Record<string, string>,
  /** In the bar of a thread. */
  bar: (count: number) => (count === 1 ? 'Shared with 1 person' : `Shared with ${count} people`),
  links: 'Links',

  withMe: {
    title: 'Shared with me',
    text: 'Conversations of others to which you have access.',
    list: 'Conversations shared with me',
    empty: 'Nobody shares a conversation with you.',
    conversation: 'Conversation',
    owner: 'Of',
    role: 'You are',
    since: 'Shared',
    changed: 'Last change',
    nobody: 'deleted account',
  },

  guest: {
    of: (name: string) => `Of ${name}.`,
    ofSomebody: 'Of somebody else.',
    may: {
      viewer: 'You can read it.',
      commenter: 'You can read it, and write notes.',
      editor: 'You can read it, and write and edit messages and notes.',
    } satisfies Record<GrantRole, string> as Record<GrantRole, string>,
    asks: 'The assistant answers you here, at the owner’s expense.',
    asksNot: 'The assistant does not answer you here: the owner has not allowed it.',
    byGroup: 'You have it by a group: leave the group in the settings.',
    leave: 'Leave',
    leaveTitle: 'Leave this conversation?',
    leaveText: 'You lose access to it. What you wrote in it stays there.',
    left: 'You have no access to it any more.',
    ended:
      'You have no access to this conversation any more. What you see is how it was; it is gone when you leave this page.',
  },
  somebody: 'Somebody else',
  by: (name: string) => `by ${name}`,
};
export const withPeople = translated('withPeople', english);
