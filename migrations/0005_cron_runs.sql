CREATE TABLE `cron_runs` (
	`duty` text PRIMARY KEY NOT NULL,
	`at` text NOT NULL
);
