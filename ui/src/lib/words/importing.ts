import { translated } from './translated';

/** English of imports in the background. */
const english = {
  uploading:
    'Uploading. Keep this page open until it is done; a connection that breaks is taken up again.',
  uploaded: (done: string, all: string) => `${done} of ${all} uploaded`,
  waiting: 'Waiting for its turn…',
  reading: (done: string, all: string) => `Reading: ${done} of ${all}`,
  storing: (done: string, all: string) => `Storing: ${done} of ${all} conversations`,
  looking: (done: string, all: string) => `Comparing: ${done} of ${all} conversations`,
  mayLeave: 'The import goes on when you leave this page; it is listed here when you come back.',
  broken: 'The connection is gone; it is taken up again.',
  names: (names: string[]) =>
    names.length > 4
      ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`
      : names.join(', '),
  cancelled: 'The import is cancelled. What was imported by then stays, each conversation whole.',
  nothing: 'Nothing was imported: all of it is here already, or is left out.',
  failed: 'The import failed.',
  found: 'Found',
  updated: 'Updated',
  replaced: 'Replaced',
  copied: 'Copied',
  deletedHere: 'Deleted here',
  diverged: 'Changed here',
  formats: 'What was recognised',
  unknown: 'What was not understood, and is kept as it came',
  earlier: 'Imports in the background',
  states: {
    queued: 'Waiting',
    running: 'Running',
    completed: 'Complete',
    nothing_imported: 'Nothing imported',
    cancelled: 'Cancelled',
    failed: 'Failed',
  },
  show: 'Show',
  options: 'Options',
  duplicates: 'What was imported before',
  onDuplicate: {
    skip: 'Leave it as it is',
    update: 'Add messages that are new at its end',
    replace: 'Replace it by what the file has',
    copy: 'Import it once more, beside it',
  },
  restore: 'Import what you deleted here, too',
};
export const importing = translated('importing', english);
