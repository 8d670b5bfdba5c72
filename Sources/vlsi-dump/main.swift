DumpCommand.main()
