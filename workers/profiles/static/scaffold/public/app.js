// What the pages do beyond showing themselves.
