// In place of a module that a library takes only where it is installed.
throw new Error("not installed");
