/** English of a thread's branches and of what messages hold; read with the first thread. */
export const inThread = {
  branches: {
    label: 'Branches',
    place: (now: string, all: string) => `${now} / ${all}`,
    spoken: (now: string, all: string) => `Branch ${now} of ${all}`,
    earlier: 'Earlier branch',
    later: 'Later branch',
    other: 'Show the other branch',
    shown: (now: string, all: string) => `Branch ${now} of ${all} is shown.`,
    gone: 'The messages of this branch were deleted.',
    underWay:
      'An answer is being written, or waits for your decision. Wait for it or stop it, and choose another branch then.',
    ask: 'Ask again',
    askText: 'The question as it was stays beside this one, with its answers.',
  },
};
