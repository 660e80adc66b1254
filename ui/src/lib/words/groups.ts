import type { GroupRole } from '#lib/api/types';
import { translated } from './translated';

/** English of groups, and of sharing with them. */
const english = {
  tab: 'Groups',
  text: 'People with whom you share together. Who joins a group has what is shared with it; who leaves loses it.',
  none: 'You are in no group.',
  list: 'My groups',
  name: 'Name of the new group',
  make: 'Make a group',
  made: (group: string) => `The group ${group} is made.`,
  roles: { owner: 'Owner', manager: 'Manager', member: 'Member' } satisfies Record<
    GroupRole,
    string
  > as Record<GroupRole, string>,
  manage: 'Members',
  manageOf: (group: string) => `Members of ${group}`,
  rename: 'Rename',
  newName: 'Name of the group',
  renamed: (group: string) => `The group is called ${group} now.`,
  deleteTitle: (group: string) => `Delete the group ${group}?`,
  deleteText:
    'All its members lose what is shared with it. The conversations stay with their owners.',
  deleted: (group: string) => `The group ${group} is deleted.`,
  leave: 'Leave',
  leaveOf: (group: string) => `Leave ${group}`,
  leaveTitle: (group: string) => `Leave the group ${group}?`,
  leaveText:
    'You lose what is shared with it, and what you share with it ends. A manager can add you again.',
  left: (group: string) => `You are no longer in ${group}.`,
  user: 'Username',
  role: 'Role',
  add: 'Add',
  added: (name: string) => `${name} is in the group now.`,
  changed: (name: string) => `The role of ${name} is changed.`,
  remove: 'Remove',
  removeOf: (name: string) => `Remove ${name}`,
  removed: (name: string) => `${name} is no longer in the group.`,
  managersMay: 'Managers add and remove members.',
  problems: {
    group_not_found: 'You are no longer in this group.',
    not_manager: 'You may not do this: it is for the owner of the group, or its managers.',
    too_many_groups: 'You own as many groups as can be. Delete one of them first.',
    too_many_members: 'The group has as many members as can be. Remove somebody first.',
    too_many_group_grants:
      'No more can be shared like this: the conversation is shared with too many groups, or the group has too many conversations.',
    user_not_found: 'There is nobody with this name here.',
    too_many_requests: 'That was too often. Try again in a minute.',
  } as Record<string, string>,

  /** In the dialog of sharing. */
  share: {
    section: 'Groups',
    with: 'Group',
    add: 'Share with the group',
    list: 'Groups that have access',
    gone: 'a group that you are not in any more',
    none: 'No group has access.',
    noGroups: 'You are in no group yet.',
    toSettings: 'Make a group in the settings',
    mayAsk: 'May ask assistants at your expense',
    mayAskOf: (name: string) => `${name} may ask assistants at your expense`,
  },
};
export const withGroups = translated('withGroups', english);
